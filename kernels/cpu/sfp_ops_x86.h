// Codes of sfp to floats, a register of bytes at a time.
#pragma once
#include "kernels/cpu/ops_x86.h"
#include "kernels/quant/sfp.h"

namespace carat::cpu {

// How the codes of sfp become the upper halves of floats, a byte at a time: the higher byte, but for the sign, by the
// upper four bits of a magnitude; the lower is the rest of the magnitude in place, once more to the left where it is
// small.
struct SfpHighBytes {
  alignas(16) std::uint8_t of[16];
};
inline constexpr SfpHighBytes kSfpHighBytes = [] {
  SfpHighBytes out{};
  for (std::size_t i = 0; i < 16; ++i)
    out.of[i] = static_cast<std::uint8_t>(i < 8 ? (kSfpSmall >> 24) + static_cast<int>(i)
                                                : (kSfpLarge >> 24) + static_cast<int>(i) / 2);
  return out;
}();

// Four registers of floats from as many codes of sfp. Codes are taken by fours from all over, as the unpacking within
// parts of 128 bits then leaves each register in order.
template <class Arch>
[[gnu::always_inline]] inline void load_sfp(const std::uint8_t* from, xsimd::batch<float, Arch> (&out)[4]) noexcept {
  const __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(kSfpHighBytes.of));
  if constexpr (kIs512<Arch>) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i codes = _mm512_permutexvar_epi32(order, _mm512_loadu_si512(from)), zero = _mm512_setzero_si512();
    const __mmask64 not_zero = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(127));
    const __mmask64 small = _mm512_testn_epi8_mask(codes, _mm512_set1_epi8(64));
    const __m512i upper = _mm512_and_si512(_mm512_srli_epi16(codes, 3), _mm512_set1_epi8(15));
    const __m512i magnitude = _mm512_maskz_shuffle_epi8(not_zero, _mm512_broadcast_i32x4(table), upper);
    const __m512i high = _mm512_ternarylogic_epi32(magnitude, codes, _mm512_set1_epi8(-128), 0xF8);  // a | b & c
    const __m512i rest = _mm512_and_si512(_mm512_slli_epi16(codes, 4), _mm512_set1_epi8(-16));
    const __m512i low = _mm512_mask_add_epi8(rest, small, rest, rest);
    const __m512i first = _mm512_unpacklo_epi8(low, high), second = _mm512_unpackhi_epi8(low, high);
    out[0] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, first));
    out[1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, first));
    out[2] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, second));
    out[3] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, second));
  } else if constexpr (kIs256<Arch>) {
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7), zero = _mm256_setzero_si256();
    const __m256i codes =
        _mm256_permutevar8x32_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), order);
    const __m256i twice = _mm256_add_epi8(codes, codes);  // without the sign
    const __m256i is_zero = _mm256_cmpeq_epi8(twice, zero), large = _mm256_cmpgt_epi8(zero, twice);
    const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(codes, 3), _mm256_set1_epi8(15));
    const __m256i magnitude =
        _mm256_andnot_si256(is_zero, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), upper));
    const __m256i high = _mm256_or_si256(magnitude, _mm256_and_si256(codes, _mm256_set1_epi8(-128)));
    const __m256i rest = _mm256_and_si256(_mm256_slli_epi16(codes, 4), _mm256_set1_epi8(-16));
    const __m256i low = _mm256_add_epi8(rest, _mm256_andnot_si256(large, rest));
    const __m256i first = _mm256_unpacklo_epi8(low, high), second = _mm256_unpackhi_epi8(low, high);
    out[0] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, first));
    out[1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, first));
    out[2] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, second));
    out[3] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, second));
  } else {
    constexpr std::int16_t kMagnitude = 127 << 5, kSmall = kSfpSmall >> 16, kLarge = kSfpLarge >> 16;
    const __m128i zero = _mm_setzero_si128(), bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const auto floats = [&](__m128i twice, std::size_t i) {
      const __m128i codes = _mm_srai_epi16(twice, 8);  // with the sign
      const __m128i magnitude = _mm_and_si128(_mm_slli_epi16(codes, 5), _mm_set1_epi16(kMagnitude));
      const __m128i small = _mm_add_epi16(magnitude, _mm_set1_epi16(kSmall));
      const __m128i large = _mm_add_epi16(_mm_srli_epi16(magnitude, 1), _mm_set1_epi16(kLarge));
      const __m128i bits = _mm_andnot_si128(_mm_cmpeq_epi16(magnitude, zero), _mm_min_epi16(small, large));
      const __m128i all = _mm_or_si128(bits, _mm_and_si128(codes, _mm_set1_epi16(INT16_MIN)));
      out[i] = _mm_castsi128_ps(_mm_unpacklo_epi16(zero, all));
      out[i + 1] = _mm_castsi128_ps(_mm_unpackhi_epi16(zero, all));
    };
    floats(_mm_unpacklo_epi8(bytes, bytes), 0);
    floats(_mm_unpackhi_epi8(bytes, bytes), 2);
  }
}

}  // namespace carat::cpu
