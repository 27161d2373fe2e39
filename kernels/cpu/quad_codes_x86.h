// How blocks give up their codes to registers of 512 bits: four units of 32 elements side by side, a byte each, as
// vpdpbusd takes them.
#pragma once
#include "kernels/cpu/readers.h"

namespace carat::cpu {

template <class Isa>
inline constexpr bool kTakesQuads = std::is_base_of_v<Avx512Vnni, Isa>;

// Sixteen codes of each of four units: the first of all, and the second.
template <class Isa>
struct QuadCodes {
  __m512i half[2];
};

// codes<quad>(w): units 4 * quad to 4 * quad + 3 of a super-block, or as many blocks of 32, without what
// Reader::kOffset takes off. Signed bytes where kSigned, else less than 128. As the type's Reader has them, where
// nothing faster is written below.
template <class Isa, class Block>
struct QuadReader {
  using Read = Reader<Isa, Block>;
  static constexpr bool kSigned = !Read::kHasMinimum && !HasOffset<Read>;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const Block* w) noexcept {
    const Codes<Isa> units[4] = {of_unit<4 * quad>(w), of_unit<4 * quad + 1>(w), of_unit<4 * quad + 2>(w),
                                 of_unit<4 * quad + 3>(w)};
    const auto half = [&](std::size_t h) __attribute__((always_inline)) {
      const auto two = [&](std::size_t u) __attribute__((always_inline)) {
        const __m256i a = units[u].half[h].part[0], b = units[u + 1].half[h].part[0];
        return _mm512_cvtepi16_epi8(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1));
      };
      return _mm512_inserti64x4(_mm512_castsi256_si512(two(0)), two(2), 1);
    };
    return {{half(0), half(1)}};
  }

 private:
  template <std::size_t unit>
  [[gnu::always_inline]] static Codes<Isa> of_unit(const Block* w) noexcept {
    if constexpr (HasOffset<Read>)
      return Read::template raw_codes<unit>(w);
    else
      return Read::template codes<unit>(w);
  }
};

// Sixteen bytes from each of four places.
template <class Isa>
[[gnu::always_inline]] inline __m512i load_four(const void* a, const void* b, const void* c, const void* d) noexcept {
  const auto at = [](const void* from) { return *static_cast<const __m128i_u*>(from); };
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(at(a)), at(b), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(_mm512_castsi256_si512(low), at(c), 2), at(d), 3);
}
// The same sixteen four times, and the same 32 twice.
template <class Isa>
[[gnu::always_inline]] inline __m512i load_four_times(const void* from) noexcept {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(from)));
}
template <class Isa>
[[gnu::always_inline]] inline __m512i load_twice(const void* from) noexcept {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
}

// A number for the words of each quarter.
template <class Isa>
[[gnu::always_inline]] inline __m512i of_quarters(short a, short b, short c, short d) noexcept {
  const auto words = [](short x) { return x * 0x0001000100010001; };
  return _mm512_setr_epi64(words(a), words(a), words(b), words(b), words(c), words(c), words(d), words(d));
}

template <class Isa>
[[gnu::always_inline]] inline __m512i low_nibbles(__m512i x) noexcept {
  return _mm512_and_si512(x, _mm512_set1_epi8(15));
}
template <class Isa>
[[gnu::always_inline]] inline __m512i high_nibbles(__m512i x) noexcept {
  return low_nibbles<Isa>(_mm512_srli_epi16(x, 4));
}
// x | y & mask, byte by byte.
template <class Isa>
[[gnu::always_inline]] inline __m512i with_bits(__m512i x, __m512i y, char mask) noexcept {
  return _mm512_ternarylogic_epi32(x, y, _mm512_set1_epi8(mask), 0xF8);
}

// The nibbles of four blocks of 18 bytes: they lie within 64, but for the last eight, so a permutation of words takes
// what three inserts would.
template <class Isa, class Block>
[[gnu::always_inline]] inline __m512i load_four_of_18(const Block* w) noexcept {
  static_assert(sizeof(Block) == 18 && sizeof(w->qs) == 16);
  struct Words {
    std::uint16_t from[32];
  };
  static constexpr Words words = [] {
    Words out{};
    for (std::size_t i = 0; i < 32; ++i) out.from[i] = static_cast<std::uint16_t>((9 * (i / 8) + 1 + i % 8) % 32);
    return out;
  }();
  const __m512i most = _mm512_permutexvar_epi16(_mm512_loadu_si512(words.from), _mm512_loadu_si512(w));
  long long last;
  __builtin_memcpy(&last, w[3].qs + 8, sizeof last);
  return _mm512_mask_set1_epi64(most, 0x80, last);
}

template <class Isa, class Block>
[[gnu::always_inline]] inline __m512i load_nibbles(const Block* w) noexcept {
  if constexpr (sizeof(Block) == 18)
    return load_four_of_18<Isa>(w);
  else
    return load_four<Isa>(w[0].qs, w[1].qs, w[2].qs, w[3].qs);
}

template <class Isa, class Block>
struct QuadsOfNibbles {
  static constexpr bool kSigned = false;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const Block* w) noexcept {
    const __m512i bytes = load_nibbles<Isa>(w + 4 * quad);
    return {{low_nibbles<Isa>(bytes), high_nibbles<Isa>(bytes)}};
  }
};
template <class Isa>
struct QuadReader<Isa, BlockQ4_0> : QuadsOfNibbles<Isa, BlockQ4_0> {};
template <class Isa>
struct QuadReader<Isa, BlockQ4_1> : QuadsOfNibbles<Isa, BlockQ4_1> {};

template <class Isa, class Block>
struct QuadsOfFiveBits {
  static constexpr bool kSigned = false;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const Block* w) noexcept {
    QuadCodes<Isa> out = QuadsOfNibbles<Isa, Block>::template codes<quad>(w);
    w += 4 * quad;
    const __m512i bits = load_four<Isa>(w[0].qh, w[1].qh, w[2].qh, w[3].qh);  // and what follows, within the block
    const __m512i own = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201)), fifth = _mm512_set1_epi8(16);
    for (std::size_t h = 0; h < 2; ++h) {
      const auto byte = static_cast<long long>(0x0101010101010101 * (2 * h));
      const __m512i from = _mm512_broadcast_i32x4(_mm_set_epi64x(byte + 0x0101010101010101, byte));
      const __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, from), own);
      out.half[h] = _mm512_mask_add_epi8(out.half[h], set, out.half[h], fifth);
    }
    return out;
  }
};
template <class Isa>
struct QuadReader<Isa, BlockQ5_0> : QuadsOfFiveBits<Isa, BlockQ5_0> {};
template <class Isa>
struct QuadReader<Isa, BlockQ5_1> : QuadsOfFiveBits<Isa, BlockQ5_1> {};

// Units in pairs of registers, 32 bytes each: their first halves and their second ones.
template <class Isa>
[[gnu::always_inline]] inline QuadCodes<Isa> halves_of(__m512i first_two, __m512i last_two) noexcept {
  return {{_mm512_shuffle_i64x2(first_two, last_two, 0x88), _mm512_shuffle_i64x2(first_two, last_two, 0xDD)}};
}

template <class Isa>
struct QuadReader<Isa, BlockQ8_0> {
  static constexpr bool kSigned = true;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockQ8_0* w) noexcept {
    w += 4 * quad;
    return halves_of<Isa>(two(w[0], w[1]), two(w[2], w[3]));
  }

 private:
  [[gnu::always_inline]] static __m512i two(const BlockQ8_0& a, const BlockQ8_0& b) noexcept {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a.qs));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), *reinterpret_cast<const __m256i_u*>(b.qs), 1);
  }
};

template <class Isa>
[[gnu::always_inline]] inline QuadCodes<Isa> iq4_quads(__m512i bytes) noexcept {
  const __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values.data())));
  return {
      {_mm512_shuffle_epi8(values, low_nibbles<Isa>(bytes)), _mm512_shuffle_epi8(values, high_nibbles<Isa>(bytes))}};
}
template <class Isa>
struct QuadReader<Isa, BlockIQ4_NL> {
  static constexpr bool kSigned = true;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockIQ4_NL* w) noexcept {
    return iq4_quads<Isa>(load_nibbles<Isa>(w + 4 * quad));
  }
};
template <class Isa>
struct QuadReader<Isa, BlockIQ4_XS> {
  static constexpr bool kSigned = true;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockIQ4_XS* w) noexcept {
    return iq4_quads<Isa>(_mm512_loadu_si512(w->qs + 64 * quad));
  }
};

template <class Isa>
[[gnu::always_inline]] inline __m512i pairs_of_bits(const std::uint8_t* qs) noexcept {
  return _mm512_and_si512(_mm512_srlv_epi16(load_four_times<Isa>(qs), of_quarters<Isa>(0, 2, 4, 6)),
                          _mm512_set1_epi8(3));
}
template <class Isa>
struct QuadReader<Isa, BlockQ2_K> {
  static constexpr bool kSigned = false;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockQ2_K* w) noexcept {
    return {{pairs_of_bits<Isa>(w->qs + 32 * quad), pairs_of_bits<Isa>(w->qs + 32 * quad + 16)}};
  }
};
template <class Isa>
struct QuadReader<Isa, BlockQ3_K> {
  static constexpr bool kSigned = true;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockQ3_K* w) noexcept {
    const auto half = [&](std::size_t h) __attribute__((always_inline)) {
      const __m512i low = pairs_of_bits<Isa>(w->qs + 32 * quad + 16 * h);
      // Bit 4 * quad + unit, brought to bit 2.
      __m512i third = _mm512_srlv_epi16(load_four_times<Isa>(w->hmask + 16 * h),
                                        quad == 0 ? of_quarters<Isa>(0, 0, 0, 1) : of_quarters<Isa>(2, 3, 4, 5));
      if constexpr (quad == 0) third = _mm512_sllv_epi16(third, of_quarters<Isa>(2, 1, 0, 0));
      return _mm512_sub_epi8(with_bits<Isa>(low, third, 4), _mm512_set1_epi8(4));
    };
    return {{half(0), half(1)}};
  }
};

// Low nibbles of 32 bytes are one unit, high ones the next.
template <class Isa>
[[gnu::always_inline]] inline QuadCodes<Isa> interleaved(__m512i even_units, __m512i odd_units) noexcept {
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13),
                second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
  return {{_mm512_permutex2var_epi64(even_units, first, odd_units),
           _mm512_permutex2var_epi64(even_units, second, odd_units)}};
}
template <class Isa>
struct QuadReader<Isa, BlockQ4_K> {
  static constexpr bool kSigned = false;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockQ4_K* w) noexcept {
    const __m512i bytes = _mm512_loadu_si512(w->qs + 64 * quad);
    return interleaved<Isa>(low_nibbles<Isa>(bytes), high_nibbles<Isa>(bytes));
  }
};
template <class Isa>
struct QuadReader<Isa, BlockQ5_K> {
  static constexpr bool kSigned = false;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockQ5_K* w) noexcept {
    const __m512i bytes = _mm512_loadu_si512(w->qs + 64 * quad), bits = load_twice<Isa>(w->qh);
    // Bit 4 * quad + unit, brought to bit 4.
    const __m512i even = quad == 0 ? _mm512_sllv_epi16(bits, of_quarters<Isa>(4, 4, 2, 2))
                                   : _mm512_srlv_epi16(bits, of_quarters<Isa>(0, 0, 2, 2));
    const __m512i odd = quad == 0 ? _mm512_sllv_epi16(bits, of_quarters<Isa>(3, 3, 1, 1))
                                  : _mm512_srlv_epi16(bits, of_quarters<Isa>(1, 1, 3, 3));
    return interleaved<Isa>(with_bits<Isa>(low_nibbles<Isa>(bytes), even, 16),
                            with_bits<Isa>(high_nibbles<Isa>(bytes), odd, 16));
  }
};

// Of 64 bytes the low nibbles are two units, the high ones the next two.
template <class Isa>
struct QuadReader<Isa, BlockQ6_K> {
  static constexpr bool kSigned = false;
  template <std::size_t quad>
  [[gnu::always_inline]] static QuadCodes<Isa> codes(const BlockQ6_K* w) noexcept {
    const __m512i bytes = _mm512_loadu_si512(w->ql + 64 * quad), bits = load_twice<Isa>(w->qh + 32 * quad);
    return halves_of<Isa>(
        with_bits<Isa>(low_nibbles<Isa>(bytes), _mm512_sllv_epi16(bits, of_quarters<Isa>(4, 4, 2, 2)), 48),
        with_bits<Isa>(high_nibbles<Isa>(bytes), _mm512_srlv_epi16(bits, of_quarters<Isa>(0, 0, 2, 2)), 48));
  }
};

}  // namespace carat::cpu
