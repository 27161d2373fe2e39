// The searches by which the k-quants choose the scale of a sub-block (ggml's quantisers without importance matrix).
// Sums run in index order, without fused multiply-add: the bytes of files depend on both.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/quant/rounding.h"

namespace carat {

// Sub-blocks whose elements are all smaller than this are encoded as zeros.
inline constexpr float kNegligible = 1e-15f;

// x ≈ scale * code - min.
struct AffineFit {
  float scale;
  float min;  // ≥ 0
};

// Which scales are tried: those that map the range of x to (top + first), (top + first + 0.1), … codes.
struct AffineSearch {
  float first;
  int steps;
  enum class Error { squared, absolute } error;
};

// x ≈ scale * code + offset.
struct Line {
  float scale;
  float offset;  // ≤ 0
};

// The best line for given codes; none if they are all alike. `sum_w` = Σ w, `sum_x` = Σ w x.
inline std::optional<Line> least_squares(std::span<const float> x, std::span<const float> weights,
                                         std::span<const std::uint8_t> codes, float sum_w, float sum_x) noexcept {
  float sum_l = 0;
  float sum_l2 = 0;
  float sum_xl = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float wl = weights[i] * codes[i];
    sum_l += wl;
    sum_l2 += wl * codes[i];
    sum_xl += wl * x[i];
  }
  const float determinant = sum_w * sum_l2 - sum_l * sum_l;
  if (!(determinant > 0)) return std::nullopt;
  const float offset = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
  if (offset > 0) return Line{sum_xl / sum_l2, 0};
  return Line{(sum_w * sum_xl - sum_x * sum_l) / determinant, offset};
}

// Fits codes 0 … top to at most 32 values. For each scale tried: round, solve for scale and min by least squares under
// `weights`, keep the best. A min that was kept also shifts the codes of the tries after it.
inline AffineFit fit_affine(std::span<const float> x, std::span<const float> weights, int top,
                            const AffineSearch& search, std::span<std::uint8_t> codes) noexcept {
  float min = x[0];
  float max = x[0];
  float sum_w = 0;
  float sum_x = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] < min) min = x[i];
    if (x[i] > max) max = x[i];
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  if (min > 0) min = 0;
  if (max == min) {
    std::ranges::fill(codes, std::uint8_t{0});
    return {0, -min};
  }

  std::array<std::uint8_t, 32> room;
  const auto tried = std::span(room).first(x.size());
  const auto round_to_codes = [&](float codes_per_unit) {
    for (std::size_t i = 0; i < x.size(); ++i)
      tried[i] = static_cast<std::uint8_t>(nearest_code(codes_per_unit * (x[i] - min), 0, top));
  };
  const auto error_of = [&](float scale, float offset) {
    float sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float miss = scale * tried[i] + offset - x[i];
      sum += weights[i] * (search.error == AffineSearch::Error::absolute ? std::abs(miss) : miss * miss);
    }
    return sum;
  };

  const auto range = static_cast<float>(top);
  float scale = 1 / (range / (max - min));
  round_to_codes(range / (max - min));
  std::ranges::copy(tried, codes.begin());
  float least_error = error_of(scale, min);

  for (int step = 0; step <= search.steps; ++step) {
    round_to_codes((search.first + 0.1f * static_cast<float>(step) + range) / (max - min));
    const std::optional<Line> line = least_squares(x, weights, tried, sum_w, sum_x);
    if (!line) continue;
    const float error = error_of(line->scale, line->offset);
    if (error < least_error) {
      least_error = error;
      scale = line->scale;
      min = line->offset;
      std::ranges::copy(tried, codes.begin());
    }
  }
  return {scale, -min};
}

// The weighted least-squares scale of x ≈ scale * l for given l, as its two sums.
struct ScaleSums {
  float xl = 0;  // Σ w x l
  float ll = 0;  // Σ w l l

  void add(float w, float x, float l) noexcept {
    xl += w * x * l;
    ll += w * l * l;
  }

  float scale() const noexcept { return ll > 0 ? xl / ll : 0; }

  // How much of Σ w x x the scale explains; to be compared without dividing.
  bool explains_more_than(float best) const noexcept { return ll > 0 && xl * xl > best * ll; }
};

// Fits x ≈ scale * (code - 32), codes 0 … 63, weights x²: the scale that maps the extreme to -32, and eighteen about
// it. Returns the scale, which is negative where the extreme value is positive; 0 (and codes 0) when all values are
// negligible.
template <std::size_t count>
float fit_symmetric(std::span<const float, count> x, std::span<std::uint8_t, count> codes) noexcept {
  const float max = extreme(x.data(), count);
  if (std::abs(max) < kNegligible) {
    std::ranges::fill(codes, std::uint8_t{0});
    return 0;
  }
  std::array<std::uint8_t, count> tried;
  const auto round_to_codes = [&](float codes_per_unit) {
    ScaleSums sums;
    for (std::size_t i = 0; i < count; ++i) {
      const int l = nearest_code(codes_per_unit * x[i], -32, 31);
      tried[i] = static_cast<std::uint8_t>(l + 32);
      sums.add(x[i] * x[i], x[i], static_cast<float>(l));
    }
    return sums;
  };

  ScaleSums sums = round_to_codes(-32 / max);
  std::ranges::copy(tried, codes.begin());
  float scale = sums.scale();
  float best = scale * sums.xl;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) continue;
    sums = round_to_codes(-(32 + 0.1f * static_cast<float>(step)) / max);
    if (!sums.explains_more_than(best)) continue;
    std::ranges::copy(tried, codes.begin());
    scale = sums.scale();
    best = scale * sums.xl;
  }
  return scale;
}

}  // namespace carat
