// What encoding needs beyond ops_x86.h: codes narrowed to bytes. Intrinsics live only in such files.
#pragma once
#include "kernels/cpu/ops_x86.h"

namespace carat::cpu {

// The low bytes of one register of int32, each 0 … 255 or -128 … 127.
template <class Arch>
inline void store_bytes(xsimd::batch<std::int32_t, Arch> x, std::uint8_t* to) noexcept {
  if constexpr (kIs512<Arch>) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(x));
  } else {
    const auto pack = [&](__m128i low, __m128i high) {
      const __m128i mask = _mm_set1_epi32(0xFF);
      const __m128i words = _mm_packs_epi32(_mm_and_si128(low, mask), _mm_and_si128(high, mask));
      return _mm_packus_epi16(words, words);
    };
    if constexpr (kIs256<Arch>) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to), pack(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
    } else {
      const int four = _mm_cvtsi128_si32(pack(x, x));
      __builtin_memcpy(to, &four, sizeof four);
    }
  }
}

// 32 codes: i in the low half of byte i, i + 16 in the high half. Bits above the fourth are dropped.
template <class Isa>
inline void store_nibbles(const std::uint8_t* codes, std::uint8_t* qs) noexcept {
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i low = _mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)), mask);
  const __m128i high = _mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 16)), mask);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(qs), _mm_or_si128(low, _mm_slli_epi16(high, 4)));
}

// Bit 4 of each of 32 codes.
template <class Isa>
inline void store_fifth_bits(const std::uint8_t* codes, std::uint8_t* qh) noexcept {
  for (std::size_t i = 0; i < 2; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 16 * i));
    const auto bits = static_cast<std::uint16_t>(_mm_movemask_epi8(_mm_slli_epi16(bytes, 3)));
    __builtin_memcpy(qh + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace carat::cpu
