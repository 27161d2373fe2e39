// sfp, "switching floating point" of gemma.cpp: one byte per value; large ones have 3 bits of mantissa, small ones 2.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/dtype.h"

namespace carat {

// What the seven bits of a magnitude, shifted into a float's place, are added to: codes from 64 on have three bits of
// mantissa and exponents -7 … 0, those below two bits and exponents -23 … -8.
inline constexpr std::int32_t kSfpLarge = 0x38000000;
inline constexpr std::int32_t kSfpSmall = 0x34000000;
inline constexpr float kSfpMax = 1.875f;

// Exact, as bf16 too. Of the two readings of a code the right one is the lesser. 0x80, which no encoder writes, is -0.
[[gnu::always_inline]] constexpr float sfp_to_float(std::uint8_t code) noexcept {
  const std::int32_t magnitude = code & 127, sign = code & 128;
  const std::int32_t small = (magnitude << 21) + kSfpSmall, large = (magnitude << 20) + kSfpLarge;
  const std::int32_t bits = magnitude == 0 ? 0 : small < large ? small : large;
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) | static_cast<std::uint32_t>(sign) << 24);
}

// Rounds as gemma.cpp does: cut to the upper six bits of the mantissa, then to nearest, ties to even, seen from these
// six bits. Magnitudes that round to more than 1.875, and NaN, become 1.875; there is no -0.
constexpr std::uint8_t sfp_from_float(float value) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t sign = bits >> 31 << 7;
  const std::uint32_t magnitude = bits >> 17 & 0x3FFFu;       // biased exponent, six bits of mantissa
  const bool large = magnitude >= ((127u - 8) << 6 | 0x3Cu);  // 1.9375 * 2^-8, which rounds to 2^-7 either way
  const std::uint32_t dropped = large ? 3 : 4;
  const std::uint32_t even = magnitude >> dropped & 1u;
  const std::uint32_t rounded = (magnitude + (1u << (dropped - 1)) - 1 + even) >> dropped;  // a carry is the next power

  constexpr std::uint32_t kFirstLarge = (127u - 7) << 3, kFirstSmall = (127u - 23) << 2;
  if (large || rounded >= kFirstLarge >> 1) {
    const std::uint32_t wide = large ? rounded : rounded << 1;
    return static_cast<std::uint8_t>(sign | std::min(wide - kFirstLarge + 64, 127u));
  }
  if (rounded < kFirstSmall) return 0;
  return static_cast<std::uint8_t>(sign | std::max(rounded - kFirstSmall, 1u));  // code 0 is zero, not 2^-23
}

struct SFP {
  using Block = std::uint8_t;
  static constexpr DType dtype = DType::sfp;

  static void dequantize_row(const Block* row, float* out, std::size_t n) noexcept {
    std::transform(row, row + n, out, [](Block code) { return sfp_to_float(code); });
  }
  static void quantize_row(const float* x, Block* row, std::size_t n) noexcept {
    std::transform(x, x + n, row, [](float value) { return sfp_from_float(value); });
  }
};

}  // namespace carat
