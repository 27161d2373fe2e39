#include "engine/file/sbs_pack.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernels/half.h"
#include "kernels/quant/sfp.h"

namespace carat {

namespace {

constexpr std::size_t kI8Group = 128, kNuqGroup = 256;
constexpr std::size_t kCentres = 16;  // of nuq

float through_bf16(float value) { return bf16_to_float(bf16_from_float(value)); }

// sbs.md, section 8.4. The codes use scale and zero point as they are after rounding to bf16.
std::size_t pack_i8(std::span<const float> values, std::byte* packed, float* decoded) {
  const auto [min, max] = std::ranges::minmax(values);
  const float range = max - min;
  const float scale = 255 / (255 / range <= std::numeric_limits<float>::max() ? range : 1);  // a range of 0, or near it
  // Beyond what an int holds no code reaches the values of a group so far from zero, for its range, any more.
  const auto zero = static_cast<float>(static_cast<std::int32_t>(std::clamp(-scale * min - 128, -2e9f, 2e9f)));
  const std::uint16_t head[2] = {bf16_from_float(1 / scale), bf16_from_float(zero)};
  std::memcpy(packed, head, sizeof head);
  const float step = bf16_to_float(head[0]), offset = -(bf16_to_float(head[1]) * step);
  const float rounded_scale = through_bf16(scale), rounded_zero = bf16_to_float(head[1]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float code = std::clamp(std::nearbyint(std::fma(rounded_scale, values[i], rounded_zero)), -128.0f, 127.0f);
    packed[sizeof head + i] = static_cast<std::byte>(static_cast<std::int8_t>(code));
    decoded[i] = std::fma(step, code, offset);
  }
  return sizeof head + values.size();
}

// The best split of sorted values into clusters around their means, by the sum of squares: k-means in one dimension, by
// dynamic programming. That the best cut moves one way only makes it quick (Wu 1991; Grønlund et al. 2017).
class Clusters {
 public:
  explicit Clusters(std::span<const float> sorted) : n_(sorted.size()) {
    for (std::size_t i = 0; i < n_; ++i) {
      const double x = static_cast<double>(sorted[i]);
      sums_[i + 1] = sums_[i] + x;
      squares_[i + 1] = squares_[i] + x * x;
    }
    for (std::size_t i = 0; i <= n_; ++i) cost_[i] = around_mean(0, i);
    for (std::size_t k = 1; k < kCentres; ++k) {
      next_.fill(0);
      best_cuts(k, 0, n_, 0, n_);
      cost_ = next_;
    }
  }

  // In ascending order; those of empty clusters, which come first, are 0.
  std::array<float, kCentres> centres() const {
    std::array<float, kCentres> means = {};
    std::size_t end = n_;
    for (std::size_t k = kCentres; k-- > 0 && end > 0;) {
      const std::size_t begin = k == 0 ? 0 : cut_[k][end];
      if (begin < end) means[k] = static_cast<float>((sums_[end] - sums_[begin]) / static_cast<double>(end - begin));
      end = begin;
    }
    return means;
  }

 private:
  double around_mean(std::size_t begin, std::size_t end) const {
    if (begin == end) return 0;
    const double sum = sums_[end] - sums_[begin];
    return std::max(0.0, squares_[end] - squares_[begin] - sum * sum / static_cast<double>(end - begin));
  }

  // Cluster `k` of the first `i` values begins at cut_[k][i]: for i of [low, high], which lies in [from, to].
  void best_cuts(std::size_t k, std::size_t low, std::size_t high, std::size_t from, std::size_t to) {
    const std::size_t i = (low + high) / 2;
    std::size_t best = from;
    double least = cost_[from] + around_mean(from, i);
    for (std::size_t cut = from + 1; cut <= std::min(i, to); ++cut) {
      const double cost = cost_[cut] + around_mean(cut, i);
      if (cost < least) least = cost, best = cut;
    }
    next_[i] = least;
    cut_[k][i] = static_cast<std::uint16_t>(best);
    if (low < i) best_cuts(k, low, i - 1, from, best);
    if (i < high) best_cuts(k, i + 1, high, best, to);
  }

  std::size_t n_;
  std::array<double, kNuqGroup + 1> sums_ = {}, squares_ = {};
  std::array<double, kNuqGroup + 1> cost_ = {}, next_ = {};  // of the first i values in the best k clusters
  std::array<std::array<std::uint16_t, kNuqGroup + 1>, kCentres> cut_ = {};
};

// sbs.md, section 8.3: the centres in sfp, then the index of each value in 4 bits, low ones first.
std::size_t pack_nuq(std::span<const float> values, std::byte* packed, float* decoded) {
  std::array<float, kNuqGroup> sorted;
  std::ranges::copy(values, sorted.begin());
  std::ranges::sort(std::span(sorted).first(values.size()));
  const std::array<float, kCentres> centres = Clusters(std::span(sorted).first(values.size())).centres();
  std::array<float, kCentres> table;
  for (std::size_t i = 0; i < kCentres; ++i) {
    const std::uint8_t code = sfp_from_float(centres[i]);
    packed[i] = std::byte{code};
    table[i] = sfp_to_float(code);
  }
  std::byte* const codes = packed + kCentres;
  const std::size_t bytes = (values.size() + 1) / 2;
  std::fill_n(codes, bytes, std::byte{0});
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto distance = [&](float centre) { return std::abs(centre - values[i]); };
    const auto nearest = static_cast<std::size_t>(std::ranges::min_element(table, {}, distance) - table.begin());
    codes[i / 2] |= static_cast<std::byte>(nearest << (i % 2 * 4));
    decoded[i] = table[nearest];
  }
  return kCentres + bytes;
}

}  // namespace

std::size_t sbs_group(SbsType type) { return type == SbsType::i8 ? kI8Group : kNuqGroup; }

void pack_sbs(SbsType type, std::span<const float> values, std::byte* packed, float* decoded) {
  assert(type == SbsType::i8 || type == SbsType::nuq);
  const std::size_t group = sbs_group(type);
  for (std::size_t first = 0; first < values.size(); first += group) {
    const auto part = values.subspan(first, std::min(group, values.size() - first));
    packed += type == SbsType::i8 ? pack_i8(part, packed, decoded + first) : pack_nuq(part, packed, decoded + first);
  }
}

}  // namespace carat
