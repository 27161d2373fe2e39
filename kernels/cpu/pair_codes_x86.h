// How blocks give up their codes and scales to registers of 512 bits: two units of 32 elements side by side, and the
// scales of a step of up to sixteen units in one register.
#pragma once
#include "kernels/cpu/readers.h"
#include "kernels/cpu/table.h"

namespace carat::cpu {

template <class Isa>
inline constexpr bool kTakesPairs = std::is_base_of_v<Avx512Vnni, Isa>;

// Half a unit of the first of two in the low words, the same half of the second in the high ones.
template <class Isa>
struct PairCodes {
  __m512i half[2];
};

template <class Isa>
[[gnu::always_inline]] inline __m512i two_words(short low, short high) noexcept {
  return _mm512_inserti64x4(_mm512_set1_epi16(low), _mm256_set1_epi16(high), 1);
}

// Sixteen bytes from each of two places, as words.
template <class Isa>
[[gnu::always_inline]] inline __m512i widen_two(const void* low, const void* high) noexcept {
  const __m128i a = _mm_loadu_si128(static_cast<const __m128i*>(low));
  return _mm512_cvtepu8_epi16(
      _mm256_inserti128_si256(_mm256_castsi128_si256(a), *static_cast<const __m128i_u*>(high), 1));
}
template <class Isa>
[[gnu::always_inline]] inline __m512i widen_two_signed(const void* low, const void* high) noexcept {
  const __m128i a = _mm_loadu_si128(static_cast<const __m128i*>(low));
  return _mm512_cvtepi8_epi16(
      _mm256_inserti128_si256(_mm256_castsi128_si256(a), *static_cast<const __m128i_u*>(high), 1));
}
// The same sixteen twice.
template <class Isa>
[[gnu::always_inline]] inline __m512i widen_twice(const void* from) noexcept {
  return _mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(from))));
}

// The codes of units 2 * pair and 2 * pair + 1, without what Reader::kOffset takes off. A format may leave a code
// sixteen times too large; `factor` of its unit then makes up for it, exactly.
template <class Isa, class Block>
struct PairReader {
  using Read = Reader<Isa, Block>;
  static constexpr float factor(std::size_t) { return 1; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairCodes<Isa> codes(const Block* w) noexcept {
    const Codes<Isa> a = of_unit<2 * pair>(w), b = of_unit<2 * pair + 1>(w);
    const auto join = [&](std::size_t h) {
      return _mm512_inserti64x4(_mm512_castsi256_si512(a.half[h].part[0]), b.half[h].part[0], 1);
    };
    return {{join(0), join(1)}};
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

template <class Isa, class Block>
struct PairsOfNibbles {
  static constexpr float factor(std::size_t) { return 1; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairCodes<Isa> codes(const Block* w) noexcept {
    const __m512i bytes = widen_two<Isa>(w[2 * pair].qs, w[2 * pair + 1].qs);
    return {{_mm512_and_si512(bytes, _mm512_set1_epi16(15)), _mm512_srli_epi16(bytes, 4)}};
  }
};
template <class Isa>
struct PairReader<Isa, BlockQ4_0> : PairsOfNibbles<Isa, BlockQ4_0> {};
template <class Isa>
struct PairReader<Isa, BlockQ4_1> : PairsOfNibbles<Isa, BlockQ4_1> {};

template <class Isa, class Block>
struct PairsOfFiveBits {
  static constexpr float factor(std::size_t) { return 1; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairCodes<Isa> codes(const Block* w) noexcept {
    PairCodes<Isa> out = PairsOfNibbles<Isa, Block>::template codes<pair>(w);
    std::uint32_t a, b;
    __builtin_memcpy(&a, w[2 * pair].qh, 4);
    __builtin_memcpy(&b, w[2 * pair + 1].qh, 4);
    const __m512i fifth = _mm512_set1_epi16(16);
    out.half[0] = _mm512_mask_add_epi16(out.half[0], (a & 0xFFFF) | b << 16, out.half[0], fifth);
    out.half[1] = _mm512_mask_add_epi16(out.half[1], a >> 16 | (b & 0xFFFF0000), out.half[1], fifth);
    return out;
  }
};
template <class Isa>
struct PairReader<Isa, BlockQ5_0> : PairsOfFiveBits<Isa, BlockQ5_0> {};
template <class Isa>
struct PairReader<Isa, BlockQ5_1> : PairsOfFiveBits<Isa, BlockQ5_1> {};

template <class Isa>
struct PairReader<Isa, BlockQ8_0> {
  static constexpr float factor(std::size_t) { return 1; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairCodes<Isa> codes(const BlockQ8_0* w) noexcept {
    const std::int8_t *a = w[2 * pair].qs, *b = w[2 * pair + 1].qs;
    return {{widen_two_signed<Isa>(a, b), widen_two_signed<Isa>(a + 16, b + 16)}};
  }
};

// Low nibbles of 32 bytes are one unit, high nibbles, left where they are, the next.
template <class Isa>
struct PairReader<Isa, BlockQ4_K> {
  static constexpr float factor(std::size_t unit) { return unit % 2 == 0 ? 1 : 0x1p-4f; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairCodes<Isa> codes(const BlockQ4_K* w) noexcept {
    const __m512i mask = two_words<Isa>(15, 240);
    const auto half = [&](std::size_t h) {
      return _mm512_and_si512(widen_twice<Isa>(w->qs + 32 * pair + 16 * h), mask);
    };
    return {{half(0), half(1)}};
  }
};

template <class Isa>
struct PairReader<Isa, BlockQ5_K> {
  static constexpr float factor(std::size_t unit) { return unit % 2 == 0 ? 1 : 0x1p-4f; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairCodes<Isa> codes(const BlockQ5_K* w) noexcept {
    const __m512i mask = two_words<Isa>(15, 240), fifth = two_words<Isa>(16, 256);
    const __m512i bit = two_words<Isa>(1 << 2 * pair, 2 << 2 * pair);
    const auto half = [&](std::size_t h) {
      const __m512i low = _mm512_and_si512(widen_twice<Isa>(w->qs + 32 * pair + 16 * h), mask);
      const __mmask32 set = _mm512_test_epi16_mask(widen_twice<Isa>(w->qh + 16 * h), bit);
      return _mm512_mask_add_epi16(low, set, low, fifth);
    };
    return {{half(0), half(1)}};
  }
};

// Of 64 bytes the low nibbles are one pair, the high ones, left where they are, the next.
template <class Isa>
struct PairReader<Isa, BlockQ6_K> {
  static constexpr float factor(std::size_t unit) { return unit / 2 % 2 == 0 ? 1 : 0x1p-4f; }
  template <std::size_t pair>
  [[gnu::always_inline]] static PairCodes<Isa> codes(const BlockQ6_K* w) noexcept {
    const auto half = [&](std::size_t h) {
      const std::uint8_t* ql = w->ql + 64 * (pair / 2) + 16 * h;
      const __m512i low = widen_two<Isa>(ql, ql + 32), all = widen_twice<Isa>(w->qh + 32 * (pair / 2) + 16 * h);
      const __m512i high = _mm512_sllv_epi16(all, two_words<Isa>(4, 2));
      const __m512i nibbles = _mm512_and_si512(low, _mm512_set1_epi16(pair % 2 == 0 ? 15 : 240));
      return _mm512_ternarylogic_epi32(nibbles, high, _mm512_set1_epi16(pair % 2 == 0 ? 0x30 : 0x300), 0xF8);
    };
    return {{half(0), half(1)}};
  }
};

// Up to sixteen halves, `stride` bytes apart, as floats, zeros behind them: by a permutation of each 64 bytes, as
// inserts one by one would keep the port that widens bytes busy.
template <class Isa, std::size_t n, std::size_t stride>
[[gnu::always_inline]] inline __m512 gather_sixteen(const void* first) noexcept {
  struct Lanes {
    std::uint16_t from[32];
    std::uint32_t of_piece[(n * stride + 63) / 64];
  };
  static constexpr Lanes lanes = [] {
    Lanes out{};
    for (std::size_t i = 0; i < n; ++i) {
      out.from[i] = static_cast<std::uint16_t>(i * stride % 64 / 2);
      out.of_piece[i * stride / 64] |= 1u << i;
    }
    return out;
  }();
  constexpr std::size_t kPieces = sizeof(lanes.of_piece) / 4, kLast = n * stride - 64 * (kPieces - 1);
  const __m512i from = _mm512_loadu_si512(lanes.from);
  __m512i halves = _mm512_setzero_si512();
  [&]<std::size_t... piece>(std::index_sequence<piece...>) __attribute__((always_inline)) {
    const auto add = [&]<std::size_t i>() __attribute__((always_inline)) {
      if constexpr (lanes.of_piece[i] != 0) {
        const char* at = static_cast<const char*>(first) + 64 * i;
        // The last one ends with the blocks, which may be the end of the file.
        constexpr __mmask32 kHere = i + 1 < kPieces || kLast == 64 ? ~0u : (1u << kLast / 2) - 1;
        const __m512i bytes = kHere == ~0u ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi16(kHere, at);
        halves = _mm512_mask_permutexvar_epi16(halves, lanes.of_piece[i], from, bytes);
      }
    };
    (add.template operator()<piece>(), ...);
  }
  (std::make_index_sequence<kPieces>{});
  return _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
}

// Whether an element is more than scale * (the code that is multiplied): a minimum, or what an offset makes.
template <class Read>
inline constexpr bool kHasRest = Read::kHasMinimum || HasOffset<Read>;

// What multiplies the codes of a step and the sums of the activation: of each unit, or of each half.
template <class Isa>
struct StepScales {
  __m512 scales, minima;
};

// Units of one step, at most: as many as have sixteen scales.
template <class Read>
inline constexpr std::size_t kStepUnits = Read::kScaleElements == 32 ? 16 : 8;

template <class Isa, std::size_t blocks>
[[gnu::always_inline]] inline __m512 of_blocks(float first, float second) noexcept {
  if constexpr (blocks == 1) return _mm512_set1_ps(first);
  return _mm512_insertf32x8(_mm512_set1_ps(first), _mm256_set1_ps(second), 1);
}

// The 6-bit scales and minima of one or two super-blocks.
template <class Isa, std::size_t blocks, class Block>
[[gnu::always_inline]] inline StepScales<Isa> packed_step_scales(const Block* w) noexcept {
  const Block* second = w + (blocks - 1);
  const PackedScales a = unpack_scales<Isa>(w->scales);
  const PackedScales b = blocks == 2 ? unpack_scales<Isa>(second->scales) : PackedScales{};
  const auto floats = [](std::uint64_t low, std::uint64_t high) __attribute__((always_inline)) {
    const __m128i bytes = _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
  };
  const __m512 d = of_blocks<Isa, blocks>(half_value<Isa>(w->d), half_value<Isa>(second->d));
  const __m512 m = of_blocks<Isa, blocks>(-half_value<Isa>(w->dmin), -half_value<Isa>(second->dmin));
  return {_mm512_mul_ps(floats(a.scales, b.scales), d), _mm512_mul_ps(floats(a.minima, b.minima), m)};
}

template <class Isa, std::size_t units, class Block>
[[gnu::always_inline]] inline StepScales<Isa> read_step_scales(const Block* w) noexcept {
  using Read = Reader<Isa, Block>;
  if constexpr (Read::kElements == 32) {
    StepScales<Isa> out{gather_sixteen<Isa, units, sizeof(Block)>(w), _mm512_setzero_ps()};
    if constexpr (Read::kHasMinimum)
      out.minima = gather_sixteen<Isa, units, sizeof(Block)>(reinterpret_cast<const char*>(w) + sizeof(w->d));
    return out;
  } else if constexpr (std::is_same_v<Block, BlockQ4_K> || std::is_same_v<Block, BlockQ5_K>) {
    return packed_step_scales<Isa, units / 8>(w);
  } else if constexpr (std::is_same_v<Block, BlockQ6_K>) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w->scales));
    return {_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), _mm512_set1_ps(half_value<Isa>(w->d))),
            _mm512_setzero_ps()};
  } else {
    alignas(64) float scales[16] = {}, minima[16] = {};
    for (std::size_t b = 0; b < units / 8; ++b) {
      Read::template scales<8>(w + b, scales + 8 * b);
      if constexpr (Read::kHasMinimum) Read::template minima<8>(w + b, minima + 8 * b);
    }
    return {_mm512_load_ps(scales), _mm512_load_ps(minima)};
  }
}

// The same with what the offset of all codes makes, and with the factors of codes left too large.
template <class Isa, std::size_t units, class Block, class Codes = PairReader<Isa, Block>>
[[gnu::always_inline]] inline StepScales<Isa> step_scales(const Block* w) noexcept {
  using Read = Reader<Isa, Block>;
  struct Factors {
    float of[16];
  };
  static constexpr Factors factors = [] {
    Factors out{};
    for (std::size_t i = 0; i < 16; ++i) out.of[i] = Codes::factor(i * Read::kScaleElements / 32);
    return out;
  }();
  StepScales<Isa> out = read_step_scales<Isa, units>(w);
  if constexpr (HasOffset<Read>) out.minima = _mm512_mul_ps(out.scales, _mm512_set1_ps(-Read::kOffset));
  if constexpr (Codes::factor(1) != 1 || Codes::factor(2) != 1)
    out.scales = _mm512_mul_ps(out.scales, _mm512_loadu_ps(factors.of));
  return out;
}

}  // namespace carat::cpu
