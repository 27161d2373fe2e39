// How codes narrower than a byte share bytes, where several formats do it alike.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"

namespace carat {

// Codes of 4 bits: i in the low half of byte i, i + 16 in the high half. Bits above the fourth are dropped.
constexpr void pack_nibbles(const std::uint8_t* codes, std::uint8_t* qs) noexcept {
  for (std::size_t i = 0; i < kBlock / 2; ++i)
    qs[i] = static_cast<std::uint8_t>((codes[i] & 15) | codes[i + kBlock / 2] << 4);
}

// The codes of q4_k and q5_k, 256 of them: like `pack_nibbles`, by pairs of sub-blocks of 32. Byte 32p + i holds codes
// 64p + i and 64p + 32 + i.
constexpr void pack_nibble_pairs(const std::uint8_t* codes, std::uint8_t (&qs)[128]) noexcept {
  for (std::size_t i = 0; i < 128; ++i) {
    const std::uint8_t* low = codes + i / 32 * 64 + i % 32;
    qs[i] = static_cast<std::uint8_t>((low[0] & 15) | low[32] << 4);
  }
}

// Bit 4 of code i of q5_0 and q5_1, in place: 16 or 0.
constexpr int fifth_bit(const std::uint8_t (&qh)[4], std::size_t i) noexcept { return (qh[i / 8] >> (i % 8) & 1) << 4; }

constexpr void pack_fifth_bits(const std::uint8_t* codes, std::uint8_t (&qh)[4]) noexcept {
  for (std::uint8_t& byte : qh) byte = 0;
  for (std::size_t i = 0; i < kBlock; ++i)
    qh[i / 8] = static_cast<std::uint8_t>(qh[i / 8] | (codes[i] >> 4 & 1) << (i % 8));
}

// Codes of 2 bits of q2_k and q3_k, 256 of them: code 128h + 32j + i in bits 2j and 2j + 1 of byte 32h + i.
constexpr int crumb(const std::uint8_t (&qs)[64], std::size_t i) noexcept {
  return qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

constexpr void pack_crumbs(const std::uint8_t* codes, std::uint8_t (&qs)[64]) noexcept {
  for (std::uint8_t& byte : qs) byte = 0;
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    std::uint8_t& byte = qs[i / 128 * 32 + i % 32];
    byte = static_cast<std::uint8_t>(byte | (codes[i] & 3) << (i % 128 / 32 * 2));
  }
}

// Scale and minimum of sub-block j of q4_k and q5_k, 6 bits each, 8 of both in 12 bytes: whole in bytes j and j + 4 for
// the first four; for the others the low halves in byte j + 4, the high bits atop bytes j - 4 and j.
struct SubScale {
  std::uint8_t scale;
  std::uint8_t min;
};

constexpr SubScale unpack_sub_scale(const std::uint8_t (&b)[12], std::size_t j) noexcept {
  if (j < 4) return {static_cast<std::uint8_t>(b[j] & 63), static_cast<std::uint8_t>(b[j + 4] & 63)};
  return {static_cast<std::uint8_t>((b[j + 4] & 15) | b[j - 4] >> 6 << 4),
          static_cast<std::uint8_t>(b[j + 4] >> 4 | b[j] >> 6 << 4)};
}

// `scales` and `mins`: 8 of each, 0 … 63.
constexpr void pack_sub_scales(const std::uint8_t* scales, const std::uint8_t* mins, std::uint8_t (&b)[12]) noexcept {
  for (std::size_t j = 0; j < 4; ++j) {
    b[j] = static_cast<std::uint8_t>(scales[j] | scales[j + 4] >> 4 << 6);
    b[j + 4] = static_cast<std::uint8_t>(mins[j] | mins[j + 4] >> 4 << 6);
    b[j + 8] = static_cast<std::uint8_t>((scales[j + 4] & 15) | (mins[j + 4] & 15) << 4);
  }
}

}  // namespace carat
