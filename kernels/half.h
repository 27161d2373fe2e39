// Half precision (IEEE binary16) and bfloat16, to and from float. Always inlined: units built for one instruction set
// use these too, and must not leave a copy behind that the linker might give to another.
#pragma once
#include <cstdint>

namespace carat {

// Exact. A signalling NaN becomes the quiet one with the same payload, as in hardware.
[[gnu::always_inline]] constexpr float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 31u;
  const std::uint32_t fraction = half & 0x3FFu;
  if (exponent == 0) {  // zero or subnormal: a whole number of 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return __builtin_bit_cast(float, sign | __builtin_bit_cast(std::uint32_t, magnitude));
  }
  if (exponent == 31) {
    const std::uint32_t quiet = fraction == 0 ? 0 : 1u << 22;
    return __builtin_bit_cast(float, sign | 0x7F800000u | quiet | fraction << 13);
  }
  return __builtin_bit_cast(float, sign | (exponent + (127 - 15)) << 23 | fraction << 13);
}

// Rounds to nearest, ties to even, with subnormals; beyond the largest half lies infinity. NaN stays NaN, quiet.
[[gnu::always_inline]] constexpr std::uint16_t half_from_float(float value) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000u) {  // NaN
    half = 0x7E00u | ((magnitude >> 13) & 0x3FFu);
  } else if (magnitude >= 0x477FF000u) {  // 65520 and above: halfway from 65504, the largest half, to 2^16
    half = 0x7C00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14, the smallest normal half
    const std::uint32_t rebased = magnitude - ((127u - 15u) << 23);
    half = (rebased + 0xFFFu + ((rebased >> 13) & 1u)) >> 13;
  } else {  // floats from 0.5 on lie 2^-24 apart, as do subnormal halves: the addition rounds
    const float rounded = __builtin_bit_cast(float, magnitude) + 0.5f;
    half = __builtin_bit_cast(std::uint32_t, rounded) - __builtin_bit_cast(std::uint32_t, 0.5f);
  }
  return static_cast<std::uint16_t>(sign | half);
}

// Exact.
[[gnu::always_inline]] constexpr float bf16_to_float(std::uint16_t value) noexcept {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(value) << 16);
}

// Rounds to nearest, ties to even, with subnormals. NaN stays NaN, quiet.
[[gnu::always_inline]] constexpr std::uint16_t bf16_from_float(float value) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>(bits >> 16 | 64u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace carat
