// iq4_nl: 32 codes of 4 bits that index a table, x = d * kIq4Values[code].
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/fit.h"
#include "kernels/quant/packing.h"

namespace carat {

// The index of the table value nearest to x, ties to the greater; NaN gives 15.
constexpr std::uint8_t nearest_iq4(float x) noexcept {
  std::uint8_t code = 0;
  while (code < 15 && !(x - kIq4Values[code] < kIq4Values[code + 1u] - x)) ++code;
  return code;
}

// The scale that fits 32 values best under weights x²: of the one that maps their extreme to 127, and fifteen about the
// one that maps it to -127. Returns 0 when all values are negligible.
inline float fit_iq4(const float* x) noexcept {
  const float max = extreme(x, kBlock);
  if (std::abs(max) < kNegligible) return 0;
  const auto sums_at = [&](float units) {
    ScaleSums sums;
    for (std::size_t i = 0; i < kBlock; ++i) {
      const float value = kIq4Values[nearest_iq4(units * x[i])];
      const float weighted = x[i] * x[i] * value;
      sums.xl += weighted * x[i];
      sums.ll += weighted * value;
    }
    return sums;
  };

  constexpr float first = kIq4Values.front();
  ScaleSums sums = sums_at(1 / (-max / first));
  float scale = sums.xl / sums.ll;
  float best = scale * sums.xl;
  for (int step = -7; step <= 7; ++step) {
    sums = sums_at((static_cast<float>(step) + first) / max);
    if (!sums.explains_more_than(best)) continue;
    scale = sums.xl / sums.ll;
    best = scale * sums.xl;
  }
  return scale;
}

// x / scale as 32 codes in 16 bytes; all 8 (value 1) when the scale is 0.
inline void encode_iq4(const float* x, float scale, std::uint8_t* qs) noexcept {
  const float units = inverse(scale);
  std::array<std::uint8_t, kBlock> codes;
  for (std::size_t i = 0; i < kBlock; ++i) codes[i] = nearest_iq4(units * x[i]);
  pack_nibbles(codes.data(), qs);
}

inline void decode_iq4(const std::uint8_t* qs, float scale, float* out) noexcept {
  for (std::size_t i = 0; i < kBlock / 2; ++i) {
    out[i] = scale * kIq4Values[qs[i] & 15u];
    out[i + kBlock / 2] = scale * kIq4Values[qs[i] >> 4u];
  }
}

struct IQ4_NL {
  using Block = BlockIQ4_NL;
  static constexpr DType dtype = DType::iq4_nl;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b) decode_iq4(blocks[b].qs, half_to_float(blocks[b].d), out + b * kBlock);
  }

  // The codes come from d before it is rounded.
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b, x += kBlock) {
      const float d = fit_iq4(x);
      blocks[b].d = half_from_float(d);
      encode_iq4(x, d, blocks[b].qs);
    }
  }
};

}  // namespace carat
