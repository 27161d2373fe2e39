// How q2_k, q4_k and q5_k encode 256 values: a scale and a minimum per sub-block, themselves integers times a half.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/fit.h"

namespace carat {

// Scales (or minima) of `count` sub-blocks: codes times d.
template <std::size_t count>
struct ScaleCodes {
  std::uint16_t d;  // half
  std::array<std::uint8_t, count> codes;
};

template <std::size_t count>
ScaleCodes<count> encode_scales(const std::array<float, count>& scales, int top) noexcept {
  float max = 0;
  for (const float scale : scales)
    if (scale > max) max = scale;
  const auto range = static_cast<float>(top);
  const float codes_per_unit = max > 0 ? range / max : 0;
  ScaleCodes<count> encoded;
  encoded.d = half_from_float(max / range);
  for (std::size_t j = 0; j < count; ++j)
    encoded.codes[j] = static_cast<std::uint8_t>(nearest_code(codes_per_unit * scales[j], 0, top));
  return encoded;
}

// x ≈ (scales.d * scale) * code - (mins.d * min), per sub-block.
template <std::size_t count>
struct SuperBlock {
  ScaleCodes<count> scales;
  ScaleCodes<count> mins;
  std::array<std::uint8_t, kSuperBlock> codes;
};

// Fits each of `count` sub-blocks, rounds scales and minima to 0 … top_scale, then rounds the values anew, to 0 … top,
// with the scales as a reader will see them. `weigh(sub_block, weights)` says how much each value matters.
template <std::size_t count, typename Weigh>
SuperBlock<count> fit_super_block(const float* x, int top, int top_scale, const AffineSearch& search,
                                  Weigh weigh) noexcept {
  constexpr std::size_t length = kSuperBlock / count;
  SuperBlock<count> block;
  std::array<float, count> scales;
  std::array<float, count> mins;
  for (std::size_t j = 0; j < count; ++j) {
    const std::span<const float> values(x + j * length, length);
    std::array<float, length> weights;
    weigh(values, std::span<float>(weights));
    const auto codes = std::span(block.codes).subspan(j * length, length);
    const AffineFit fit = fit_affine(values, weights, top, search, codes);
    scales[j] = fit.scale;
    mins[j] = fit.min;
  }
  block.scales = encode_scales(scales, top_scale);
  block.mins = encode_scales(mins, top_scale);

  for (std::size_t j = 0; j < count; ++j) {
    const float scale = half_to_float(block.scales.d) * block.scales.codes[j];
    const float min = half_to_float(block.mins.d) * block.mins.codes[j];
    if (scale == 0) continue;
    for (std::size_t i = j * length; i < (j + 1) * length; ++i)
      block.codes[i] = static_cast<std::uint8_t>(nearest_code((x[i] + min) / scale, 0, top));
  }
  return block;
}

// The weights of q4_k and q5_k: large values matter more, none matters nothing.
inline void weigh_above_rms(std::span<const float> x, std::span<float> weights) noexcept {
  float sum = 0;
  for (const float value : x) sum += value * value;
  const float rms = std::sqrt(sum / static_cast<float>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) weights[i] = rms + std::abs(x[i]);
}

}  // namespace carat
