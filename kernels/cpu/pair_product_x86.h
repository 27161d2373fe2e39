// Rows of quantised weights times one token in registers of 512 bits. The products of a unit are summed as integers,
// exactly, whatever their order; then, unit u of a step in lane u, scaled and added to the chain of floats of its lane.
// So few_rows, which sums them in another order, comes to the same bits.
#pragma once
#include "kernels/cpu/pair_codes_x86.h"
#include "kernels/cpu/row_product.h"

namespace carat::cpu {

template <class Isa>
[[gnu::always_inline]] inline __m512i dot_words(__m512i sums, __m512i a, const std::int16_t* b) noexcept {
  return _mm512_dpwssd_epi32(sums, a, _mm512_loadu_si512(b));
}

// Registers a and b of four groups of four lanes -> of each group, two sums of a and two of b.
template <class Isa>
[[gnu::always_inline]] inline __m512i add_crosswise(__m512i a, __m512i b) noexcept {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

// Lane i = the sum of eight lanes: of the low half of register i / 2 for even i, of the high half for odd i; with
// `halves`, which are the first and second halves of a pair of units in turn, of lanes in the order of the halves.
template <class Isa, std::size_t n, bool halves>
[[gnu::always_inline]] inline __m512i sum_eights(const __m512i (&x)[8]) noexcept {
  const auto four = [&](std::size_t i) __attribute__((always_inline)) {
    const __m512i a = add_crosswise<Isa>(x[i], x[i + 1]);
    const __m512i b = i + 2 < n ? add_crosswise<Isa>(x[i + 2], x[i + 3]) : _mm512_setzero_si512();
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  };
  const __m512i low = four(0);
  const __m512i high = n > 4 ? four(4) : _mm512_setzero_si512();
  const __m512i sums = _mm512_add_epi32(_mm512_shuffle_i64x2(low, high, 0x88), _mm512_shuffle_i64x2(low, high, 0xDD));
  // Now first units of pairs 0-3, second ones, and the same of pairs 4-7.
  const __m512i order = halves ? _mm512_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15)
                               : _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
  return _mm512_permutexvar_epi32(order, sums);
}

// The sum of all lanes: of the two halves, of their two halves, and so on.
template <class Isa>
[[gnu::always_inline]] inline float sum_of_lanes(__m512 all) noexcept {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// `units` units of weights from `w`, times codes q with the scales and sums of the activation from `scale` on.
template <class Isa, class Block, std::size_t units>
[[gnu::always_inline]] inline void add_step(const Block* w, const std::int16_t* q, const float* scale, const float* sum,
                                            __m512& chains) noexcept {
  using Read = Reader<Isa, Block>;
  constexpr bool kHalves = Read::kScaleElements == 16;
  constexpr std::size_t kPairs = units / 2, kInBlocks = Read::kElements == 32 ? 16 : 4;
  const __m512i zero = _mm512_setzero_si512();
  __m512i eights[8];
  const auto multiply = [&]<std::size_t pair>() __attribute__((always_inline)) {
    const PairCodes<Isa> codes = PairReader<Isa, Block>::template codes<pair % kInBlocks>(w + pair / kInBlocks);
    const __m512i first = dot_words<Isa>(zero, codes.half[0], q + 64 * pair);
    if constexpr (kHalves) {
      eights[2 * pair] = first;
      eights[2 * pair + 1] = dot_words<Isa>(zero, codes.half[1], q + 64 * pair + 32);
    } else {
      eights[pair] = dot_words<Isa>(first, codes.half[1], q + 64 * pair + 32);
    }
  };
  [&]<std::size_t... pair>(std::index_sequence<pair...>) __attribute__((always_inline)) {
    (multiply.template operator()<pair>(), ...);
  }
  (std::make_index_sequence<kPairs>{});
  const __m512 sums = _mm512_cvtepi32_ps(sum_eights < Isa, kHalves ? 8 : kPairs, kHalves > (eights));

  constexpr __mmask16 kUsed = units == 16 ? 0xFFFF : kHalves ? 0xFF : (1u << units) - 1;
  const StepScales<Isa> by = step_scales<Isa, units>(w);
  __m512 of_token = _mm512_maskz_loadu_ps(kUsed, scale);
  if constexpr (kHalves)
    of_token = _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), of_token);
  if constexpr (kHasRest<Read>)
    chains = _mm512_fmadd_ps(by.minima, _mm512_maskz_loadu_ps(kHalves ? 0xFFFF : kUsed, sum), chains);
  chains = _mm512_fmadd_ps(sums, _mm512_mul_ps(by.scales, of_token), chains);
}

// One to three units at the end of a row, made up to four with zeros.
template <class Isa, class Block>
struct PaddedEnd {
  Block w[4] = {};
  std::int16_t q[128] = {};
  float scale[4] = {}, sum[4] = {};
  PaddedEnd(const Block* from, const Activation& x, std::size_t at, std::size_t units) noexcept {
    for (std::size_t u = 0; u < units; ++u) {
      w[u] = from[u];
      scale[u] = x.scale[at + u];
      sum[u] = x.sum[at + u];
      for (std::size_t i = 0; i < kGroup; ++i)
        q[place_of_code(kGroup * u + i, 128, true)] =
            x.q[place_of_code(kGroup * (at + u) + i, kGroup * (at + units), true)];
    }
  }
};

// `n` rows that lie `apart` blocks from one another.
template <class Isa, class Block, std::size_t n>
[[gnu::always_inline]] inline void pair_row_product(const Block* w, std::size_t apart, std::size_t cols,
                                                    const Activation& x, float* out, std::size_t stride) noexcept {
  using Read = Reader<Isa, Block>;
  constexpr std::size_t kUnits = kStepUnits<Read>, kPerBlock = Read::kElements / 32;
  const float* sums = Read::kScaleElements == 32 ? x.sum : x.half_sum;
  const std::size_t units = cols / kGroup;
  __m512 chains[n];
  for (std::size_t r = 0; r < n; ++r) chains[r] = _mm512_setzero_ps();
  std::size_t at = 0;
  const auto step = [&]<std::size_t size>() __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (std::size_t r = 0; r < n; ++r) {
      prefetch<Isa>(w + r * apart, size / kPerBlock * sizeof(Block));
      add_step<Isa, Block, size>(w + r * apart, x.q + kGroup * at, x.scale + at, sums + 32 / Read::kScaleElements * at,
                                 chains[r]);
    }
    at += size;
    w += size / kPerBlock;
  };
  while (at + kUnits <= units) step.template operator()<kUnits>();
  if constexpr (kUnits == 16)
    if (at + 8 <= units) step.template operator()<8>();
  if constexpr (kPerBlock == 1) {
    if (at + 4 <= units) step.template operator()<4>();
    if (at < units)
      for (std::size_t r = 0; r < n; ++r) {
        const PaddedEnd<Isa, Block> end(w + r * apart, x, at, units - at);
        add_step<Isa, Block, 4>(end.w, end.q, end.scale, end.sum, chains[r]);
      }
  }
  for (std::size_t r = 0; r < n; ++r) out[r * stride] = sum_of_lanes<Isa>(chains[r]);
}

template <class Isa, class Block>
inline void pair_row_products(const std::byte* w, std::size_t rows, std::size_t cols, const Activation& x,
                              float* out) noexcept {
  const std::size_t row = cols / Reader<Isa, Block>::kElements, each = rows / kStreams;
  const auto* from = reinterpret_cast<const Block*>(w);
  for (std::size_t r = 0; r < each; ++r)
    pair_row_product<Isa, Block, kStreams>(from + r * row, each * row, cols, x, out + r, each);
  for (std::size_t r = kStreams * each; r < rows; ++r)
    pair_row_product<Isa, Block, 1>(from + r * row, 0, cols, x, out + r, 0);
}

}  // namespace carat::cpu
