// The codes of a step of weights, unit by unit, where they are multiplied as int16. Formats that put a code together
// from two places do so for 32 of them at a time, as bytes, which are widened when they are read back.
#pragma once
#include "kernels/cpu/readers.h"

namespace carat::cpu {

// Codes without what Reader::kOffset takes off.
template <class Isa, class Block, std::size_t units>
struct StagedCodes {
  const Block* w;
  explicit StagedCodes(const Block* from) noexcept : w(from) {}
  template <std::size_t unit>
  [[gnu::always_inline]] Codes<Isa> of() const noexcept {
    if constexpr (HasOffset<Reader<Isa, Block>>)
      return Reader<Isa, Block>::template raw_codes<unit>(w);
    else
      return Reader<Isa, Block>::template codes<unit>(w);
  }
};

template <class Isa>
struct StagedBytes {
  alignas(32) std::uint8_t bytes[256];
  template <std::size_t unit>
  [[gnu::always_inline]] Codes<Isa> of() const noexcept {
    return {{widen<Isa>(bytes + 32 * unit), widen<Isa>(bytes + 32 * unit + 16)}};
  }

 protected:
  static __m256i load(const std::uint8_t* from) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  // Shifted within words, bits of one byte reach another: none that `mask` leaves.
  template <int left>
  [[gnu::always_inline]] static __m256i shifted(__m256i x, char mask) noexcept {
    if constexpr (left > 0) x = _mm256_slli_epi16(x, left);
    if constexpr (left < 0) x = _mm256_srli_epi16(x, -left);
    return _mm256_and_si256(x, _mm256_set1_epi8(mask));
  }
  [[gnu::always_inline]] void store(std::size_t unit, __m256i low, __m256i high) noexcept {
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes) + unit, _mm256_or_si256(low, high));
  }
  // Has the bytes read from memory, whatever the compiler knows of them.
  [[gnu::always_inline]] void leave_in_memory() noexcept { asm("" : "+m"(bytes)); }
};

template <class Isa>
requires kNarrowIs256<Isa>
struct StagedCodes<Isa, BlockQ5_K, 8> : StagedBytes<Isa> {
  using Bytes = StagedBytes<Isa>;
  explicit StagedCodes(const BlockQ5_K* w) noexcept {
    const __m256i fifth = Bytes::load(w->qh);
    const auto stage = [&]<int pair>() __attribute__((always_inline)) {
      const __m256i nibbles = Bytes::load(w->qs + 32 * pair);
      this->store(2 * pair, Bytes::template shifted<0>(nibbles, 15), Bytes::template shifted<4 - 2 * pair>(fifth, 16));
      this->store(2 * pair + 1, Bytes::template shifted<-4>(nibbles, 15),
                  Bytes::template shifted<3 - 2 * pair>(fifth, 16));
    };
    stage.template operator()<0>();
    stage.template operator()<1>();
    stage.template operator()<2>();
    stage.template operator()<3>();
    this->leave_in_memory();
  }
};

template <class Isa>
requires kNarrowIs256<Isa>
struct StagedCodes<Isa, BlockQ6_K, 8> : StagedBytes<Isa> {
  using Bytes = StagedBytes<Isa>;
  explicit StagedCodes(const BlockQ6_K* w) noexcept {
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i first = Bytes::load(w->ql + 64 * half), second = Bytes::load(w->ql + 64 * half + 32);
      const __m256i high = Bytes::load(w->qh + 32 * half);
      this->store(4 * half, Bytes::template shifted<0>(first, 15), Bytes::template shifted<4>(high, 48));
      this->store(4 * half + 1, Bytes::template shifted<0>(second, 15), Bytes::template shifted<2>(high, 48));
      this->store(4 * half + 2, Bytes::template shifted<-4>(first, 15), Bytes::template shifted<0>(high, 48));
      this->store(4 * half + 3, Bytes::template shifted<-4>(second, 15), Bytes::template shifted<-2>(high, 48));
    }
    this->leave_in_memory();
  }
};

// Two blocks side by side: the low nibbles of both are their first halves, the high ones the second.
template <class Isa, class Block>
struct StagedFiveBits {
  alignas(32) std::uint8_t bytes[256];
  template <std::size_t unit>
  [[gnu::always_inline]] Codes<Isa> of() const noexcept {
    const std::uint8_t* at = bytes + unit / 2 * 64 + unit % 2 * 16;
    return {{widen<Isa>(at), widen<Isa>(at + 32)}};
  }
  explicit StagedFiveBits(const Block* w) noexcept {
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const Block &a = w[2 * pair], &b = w[2 * pair + 1];
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.qs));
      const __m256i nibbles =
          _mm256_inserti128_si256(_mm256_castsi128_si256(low), *reinterpret_cast<const __m128i_u*>(b.qs), 1);
      const __m256i bits = _mm256_blend_epi32(broadcast(a.qh), broadcast(b.qh), 0xF0);
      store(2 * pair, _mm256_and_si256(nibbles, _mm256_set1_epi8(15)), bits, 0);
      store(2 * pair + 1, _mm256_and_si256(_mm256_srli_epi16(nibbles, 4), _mm256_set1_epi8(15)), bits, 2);
    }
    asm("" : "+m"(bytes));
  }

 private:
  static __m256i broadcast(const std::uint8_t (&qh)[4]) noexcept {
    int bits;
    __builtin_memcpy(&bits, qh, 4);
    return _mm256_set1_epi32(bits);
  }
  // Sets bit 4 of each byte by its own bit of two bytes, from number `first` on.
  [[gnu::always_inline]] void store(std::size_t at, __m256i low, __m256i bits, char first) noexcept {
    const __m256i from = _mm256_add_epi8(_mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
                                                          0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1),
                                         _mm256_set1_epi8(first));
    const __m256i others = _mm256_set1_epi64x(0x7FBFDFEFF7FBFDFE);
    const __m256i set =
        _mm256_cmpeq_epi8(_mm256_or_si256(_mm256_shuffle_epi8(bits, from), others), _mm256_set1_epi8(-1));
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes) + at,
                       _mm256_or_si256(low, _mm256_and_si256(set, _mm256_set1_epi8(16))));
  }
};
template <class Isa>
requires kNarrowIs256<Isa>
struct StagedCodes<Isa, BlockQ5_0, 8> : StagedFiveBits<Isa, BlockQ5_0> {
  using StagedFiveBits<Isa, BlockQ5_0>::StagedFiveBits;
};
template <class Isa>
requires kNarrowIs256<Isa>
struct StagedCodes<Isa, BlockQ5_1, 8> : StagedFiveBits<Isa, BlockQ5_1> {
  using StagedFiveBits<Isa, BlockQ5_1>::StagedFiveBits;
};

}  // namespace carat::cpu
