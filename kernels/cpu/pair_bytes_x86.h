// How blocks give up their codes as unsigned bytes: two units of 32 elements side by side, for vpdpbusd.
#pragma once
#include "kernels/cpu/pair_codes_x86.h"

namespace carat::cpu {

// As PairCodes, a byte each.
template <class Isa>
struct PairBytes {
  __m256i half[2];
};

// Sixteen bytes from each of two places.
template <class Isa>
[[gnu::always_inline]] inline __m256i load_two(const void* low, const void* high) noexcept {
  const __m128i a = _mm_loadu_si128(static_cast<const __m128i*>(low));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(a), *static_cast<const __m128i_u*>(high), 1);
}

// As PairReader, no code larger than a signed byte holds; signed codes are kBias more than they are.
template <class Isa, class Block>
struct ByteReader {
  using Read = Reader<Isa, Block>;
  using Words = PairReader<Isa, Block>;
  static constexpr std::uint8_t kBias = Read::kHasMinimum || HasOffset<Read> ? 0 : 128;
  static constexpr float factor(std::size_t) { return 1; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairBytes<Isa> codes(const Block* w) noexcept {
    const PairCodes<Isa> words = Words::template codes<pair>(w);
    constexpr int kLow = shift(2 * pair), kHigh = shift(2 * pair + 1);
    const auto narrow = [](__m512i half) __attribute__((always_inline)) {
      if constexpr (kLow != 0 || kHigh != 0) half = _mm512_srlv_epi16(half, two_words<Isa>(kLow, kHigh));
      const __m256i bytes = _mm512_cvtepi16_epi8(half);
      if constexpr (kBias == 0) return bytes;
      return _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(kBias)));
    };
    return {{narrow(words.half[0]), narrow(words.half[1])}};
  }

 private:
  static constexpr int shift(std::size_t unit) { return Words::factor(unit) == 1 ? 0 : 4; }
};

template <class Isa, class Block>
struct BytesOfNibbles {
  static constexpr std::uint8_t kBias = 0;
  static constexpr float factor(std::size_t) { return 1; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairBytes<Isa> codes(const Block* w) noexcept {
    const __m256i bytes = load_two<Isa>(w[2 * pair].qs, w[2 * pair + 1].qs), mask = _mm256_set1_epi8(15);
    return {{_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask)}};
  }
};
template <class Isa>
struct ByteReader<Isa, BlockQ4_0> : BytesOfNibbles<Isa, BlockQ4_0> {};
template <class Isa>
struct ByteReader<Isa, BlockQ4_1> : BytesOfNibbles<Isa, BlockQ4_1> {};

template <class Isa>
struct ByteReader<Isa, BlockQ8_0> {
  static constexpr std::uint8_t kBias = 128;
  static constexpr float factor(std::size_t) { return 1; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairBytes<Isa> codes(const BlockQ8_0* w) noexcept {
    const std::int8_t *a = w[2 * pair].qs, *b = w[2 * pair + 1].qs;
    const __m256i bias = _mm256_set1_epi8(static_cast<char>(kBias));
    return {{_mm256_xor_si256(load_two<Isa>(a, b), bias), _mm256_xor_si256(load_two<Isa>(a + 16, b + 16), bias)}};
  }
};

}  // namespace carat::cpu
