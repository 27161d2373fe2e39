// The scales and minima of a step of up to sixteen units of 32 elements, in one register of 512 bits each.
#pragma once
#include "kernels/cpu/readers.h"

namespace carat::cpu {

// Up to sixteen halves, at `offset` in each of as many blocks of `stride` bytes, as floats, zeros behind them: by a
// permutation of each 64 bytes, as inserts one by one would keep the port that widens bytes busy.
template <class Isa, std::size_t n, std::size_t stride, std::size_t offset = 0>
[[gnu::always_inline]] inline __m512 gather_sixteen(const void* blocks) noexcept {
  struct Lanes {
    std::uint16_t from[32];
    std::uint32_t of_piece[(n * stride + 63) / 64];
  };
  static constexpr Lanes lanes = [] {
    Lanes out{};
    for (std::size_t i = 0; i < n; ++i) {
      out.from[i] = static_cast<std::uint16_t>((i * stride + offset) % 64 / 2);
      out.of_piece[(i * stride + offset) / 64] |= 1u << i;
    }
    return out;
  }();
  constexpr std::size_t kPieces = sizeof(lanes.of_piece) / 4, kLast = n * stride - 64 * (kPieces - 1);
  const __m512i from = _mm512_loadu_si512(lanes.from);
  __m512i halves = _mm512_setzero_si512();
  [&]<std::size_t... piece>(std::index_sequence<piece...>) __attribute__((always_inline)) {
    const auto add = [&]<std::size_t i>() __attribute__((always_inline)) {
      if constexpr (lanes.of_piece[i] != 0) {
        const char* at = static_cast<const char*>(blocks) + 64 * i;
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

// Sixteen bytes as floats.
template <class Isa>
[[gnu::always_inline]] inline __m512 floats_of(__m128i bytes) noexcept {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

// The 6-bit scales and minima of one or two super-blocks, all in registers: the first sixteen bytes of a block are the
// halves d and dmin and three words a, b, c (quants.md, 4.2); of each block come, four bytes at a time,
//   scales a & 63, c & 15 | a >> 2 & 48   minima b & 63, c >> 4 & 15 | b >> 2 & 48
template <class Isa, std::size_t blocks, class Block>
[[gnu::always_inline]] inline StepScales<Isa> packed_step_scales(const Block* w) noexcept {
  const __m256i heads = _mm256_inserti128_si256(_mm256_castsi128_si256(*reinterpret_cast<const __m128i_u*>(w)),
                                                *reinterpret_cast<const __m128i_u*>(w + (blocks - 1)), 1);
  const auto twice = [](long long low, long long high) { return _mm256_setr_epi64x(low, high, low, high); };
  const __m256i low = _mm256_srlv_epi32(_mm256_shuffle_epi32(heads, 0b11'10'11'01), twice(0, 4ll << 32));
  const __m256i high = _mm256_srli_epi32(_mm256_shuffle_epi32(heads, 0b10'00'01'00), 2);
  const __m256i six_bits = twice(0x0F0F0F0F3F3F3F3F, 0x0F0F0F0F3F3F3F3F);
  const __m256i bytes = _mm256_ternarylogic_epi32(_mm256_and_si256(low, six_bits), high,
                                                  twice(0x3030303000000000, 0x3030303000000000), 0xF8);
  const __m256i sorted = _mm256_permute4x64_epi64(bytes, 0b11'01'10'00);  // the scales of both, the minima of both
  const auto factor = [&](short half) __attribute__((always_inline)) {
    const __m256i order = _mm256_setr_m128i(_mm_set1_epi16(half), _mm_set1_epi16(static_cast<short>(half + 8)));
    return _mm512_cvtph_ps(_mm256_permutexvar_epi16(order, heads));
  };
  return {_mm512_mul_ps(floats_of<Isa>(_mm256_castsi256_si128(sorted)), factor(0)),
          _mm512_mul_ps(floats_of<Isa>(_mm256_extracti128_si256(sorted, 1)),
                        _mm512_xor_ps(factor(1), _mm512_set1_ps(-0.0f)))};
}

template <class Isa, std::size_t units, class Block>
[[gnu::always_inline]] inline StepScales<Isa> read_step_scales(const Block* w) noexcept {
  using Read = Reader<Isa, Block>;
  if constexpr (Read::kElements == 32) {
    StepScales<Isa> out{gather_sixteen<Isa, units, sizeof(Block)>(w), _mm512_setzero_ps()};
    if constexpr (Read::kHasMinimum) out.minima = gather_sixteen<Isa, units, sizeof(Block), sizeof(w->d)>(w);
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

// The same with what the offset of all codes makes.
template <class Isa, std::size_t units, class Block>
[[gnu::always_inline]] inline StepScales<Isa> step_scales(const Block* w) noexcept {
  using Read = Reader<Isa, Block>;
  StepScales<Isa> out = read_step_scales<Isa, units>(w);
  if constexpr (HasOffset<Read>) out.minima = _mm512_mul_ps(out.scales, _mm512_set1_ps(-Read::kOffset));
  return out;
}

}  // namespace carat::cpu
