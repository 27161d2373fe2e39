// Rows of quantised weights times a few tokens in registers of 512 bits, a token in each lane: no sums across lanes.
// Each weight is read and decoded once; each token's result has the bits it has alone (pair_product_x86.h).
#pragma once
#include "kernels/cpu/pair_product_x86.h"

namespace carat::cpu {

// Rows that meet the tokens at once, so that tokens are loaded once for all of them.
inline constexpr std::size_t kRowsTogether = 8;

template <class Isa>
inline void bring_together(const Activation* x, std::size_t tokens, std::size_t cols, std::size_t first,
                           std::size_t last, const Together& out) noexcept {
  for (std::size_t t = 0; t < kFewTokens; ++t) {
    const bool there = t < tokens;
    for (std::size_t g = first; g < last; ++g) {
      for (std::size_t h = 0; h < 2; ++h) {
        std::int32_t pairs[8] = {};
        if (there)
          __builtin_memcpy(pairs, x[t].q + place_of_code(kGroup * g + kHalfGroup * h, cols, true), sizeof pairs);
        for (std::size_t i = 0; i < 8; ++i)
          __builtin_memcpy(out.q + 2 * ((16 * g + 8 * h + i) * kFewTokens + t), pairs + i, sizeof *pairs);
        out.half_sum[(2 * g + h) * kFewTokens + t] = there ? x[t].half_sum[2 * g + h] : 0;
      }
      out.scale[g * kFewTokens + t] = there ? x[t].scale[g] : 0;
      out.sum[g * kFewTokens + t] = there ? x[t].sum[g] : 0;
    }
  }
}

// A step of some rows, decoded.
template <class Isa, std::size_t n>
struct DecodedSteps {
  alignas(64) std::int16_t codes[n][16 * kGroup];  // in pairs: as registers hold them
  alignas(64) float scales[n][16], minima[n][16];

  template <class Block, std::size_t units>
  [[gnu::always_inline]] void load(std::size_t r, const Block* w) noexcept {
    constexpr std::size_t kInBlocks = Reader<Isa, Block>::kElements == 32 ? 16 : 4;
    const auto store = [&]<std::size_t pair>() __attribute__((always_inline)) {
      const PairCodes<Isa> from = PairReader<Isa, Block>::template codes<pair % kInBlocks>(w + pair / kInBlocks);
      _mm512_store_si512(codes[r] + 64 * pair, from.half[0]);
      _mm512_store_si512(codes[r] + 64 * pair + 32, from.half[1]);
    };
    [&]<std::size_t... pair>(std::index_sequence<pair...>) __attribute__((always_inline)) {
      (store.template operator()<pair>(), ...);
    }
    (std::make_index_sequence<units / 2>{});
    const StepScales<Isa> by = step_scales<Isa, units>(w);
    _mm512_store_ps(scales[r], by.scales);
    _mm512_store_ps(minima[r], by.minima);
  }
};

// The chains of floats of each row and lane of a step, tokens side by side.
template <class Isa, std::size_t n>
struct FewChains {
  alignas(64) float of[n][16][kFewTokens];
};

// sums + the same two codes for all tokens · two codes of each.
template <class Isa>
[[gnu::always_inline]] inline __m512i add_broadcast(__m512i sums, const std::int16_t* codes, __m512i tokens) noexcept {
  struct Two {
    std::int16_t code[2];
  };
  asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(tokens), "m"(*reinterpret_cast<const Two*>(codes)));
  return sums;
}

// Adds `eights` groups of eight pairs of codes, which share a scale, to the chains of a lane.
template <class Isa, class Read, std::size_t n, std::size_t eights>
[[gnu::always_inline]] inline void add_group(const DecodedSteps<Isa, n>& w, std::size_t at, const std::int16_t* q,
                                             const float* scale, const float* sum, std::size_t lane,
                                             FewChains<Isa, n>& chains) noexcept {
  __m512i sums[n];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < n; ++r) sums[r] = _mm512_setzero_si512();
#pragma GCC unroll 2
  for (std::size_t e = 0; e < eights; ++e)
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) {
      const __m512i tokens = _mm512_loadu_si512(q + 2 * kFewTokens * (8 * e + i));
#pragma GCC unroll 16
      for (std::size_t r = 0; r < n; ++r)
        sums[r] = add_broadcast<Isa>(sums[r], w.codes[r] + at + 32 * e + 2 * i, tokens);
    }
  const __m512 of_tokens = _mm512_loadu_ps(scale);
#pragma GCC unroll 16
  for (std::size_t r = 0; r < n; ++r) {
    __m512 chain = _mm512_load_ps(chains.of[r][lane]);
    if constexpr (kHasRest<Read>)
      chain = _mm512_fmadd_ps(_mm512_set1_ps(w.minima[r][lane]), _mm512_loadu_ps(sum), chain);
    const __m512 by = _mm512_mul_ps(_mm512_set1_ps(w.scales[r][lane]), of_tokens);
    _mm512_store_ps(chains.of[r][lane], _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r]), by, chain));
  }
}

// `units` units from column 32 * `at` on, of rows that lie `stride` blocks apart.
template <class Isa, class Block, std::size_t units, std::size_t n>
inline void add_steps(const Block* w, std::size_t stride, std::size_t at, const Together& x,
                      FewChains<Isa, n>& chains) noexcept {
  using Read = Reader<Isa, Block>;
  constexpr std::size_t kBytes = units * kGroup / Read::kElements * sizeof(Block);
  DecodedSteps<Isa, n> decoded;
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t i = 0; i < kBytes; i += 64)  // the rows that come next
      __builtin_prefetch(reinterpret_cast<const char*>(w + (n + r) * stride) + i);
    decoded.template load<Block, units>(r, w + r * stride);
  }
  for (std::size_t u = 0; u < units; ++u) {
    const std::size_t unit = at + u, first = 64 * (u / 2) + 16 * (u % 2);
    const std::int16_t* q = x.q + unit * kGroup * kFewTokens;
    const float* scale = x.scale + unit * kFewTokens;
    if constexpr (Read::kScaleElements == 32) {
      add_group<Isa, Read, n, 2>(decoded, first, q, scale, x.sum + unit * kFewTokens, u, chains);
    } else {
      for (std::size_t h = 0; h < 2; ++h)
        add_group<Isa, Read, n, 1>(decoded, first + 32 * h, q + h * kHalfGroup * kFewTokens, scale,
                                   x.half_sum + (2 * unit + h) * kFewTokens, 2 * u + h, chains);
    }
  }
}

template <class Isa, class Block, std::size_t n>
inline void rows_together(const Block* w, std::size_t cols, const Together& x, std::size_t tokens, float* out,
                          std::size_t stride) noexcept {
  using Read = Reader<Isa, Block>;
  constexpr std::size_t kUnits = kStepUnits<Read>, kPerBlock = Read::kElements / 32;
  const std::size_t row = cols / Read::kElements, units = cols / kGroup;
  FewChains<Isa, n> chains = {};
  std::size_t at = 0;
  const auto step = [&]<std::size_t size>() __attribute__((always_inline)) {
    add_steps<Isa, Block, size, n>(w + at / kPerBlock, row, at, x, chains);
    at += size;
  };
  while (at + kUnits <= units) step.template operator()<kUnits>();
  if constexpr (kUnits == 16)
    if (at + 8 <= units) step.template operator()<8>();
  if constexpr (kPerBlock == 1) {
    if (at + 4 <= units) step.template operator()<4>();
    if (at < units) {
      // As PaddedEnd does: a step of four, of which the first are there.
      Block end[n][4] = {};
      for (std::size_t r = 0; r < n; ++r)
        for (std::size_t u = 0; at + u < units; ++u) end[r][u] = w[r * row + at + u];
      DecodedSteps<Isa, n> decoded;
      for (std::size_t r = 0; r < n; ++r) decoded.template load<Block, 4>(r, end[r]);
      for (std::size_t u = 0; at + u < units; ++u)
        add_group<Isa, Read, n, 2>(decoded, 64 * (u / 2) + 16 * (u % 2), x.q + (at + u) * kGroup * kFewTokens,
                                   x.scale + (at + u) * kFewTokens, x.sum + (at + u) * kFewTokens, u, chains);
    }
  }
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t half = 8; half > 0; half /= 2)  // as sum_of_lanes does
      for (std::size_t i = 0; i < half; ++i)
        _mm512_store_ps(chains.of[r][i],
                        _mm512_add_ps(_mm512_load_ps(chains.of[r][i]), _mm512_load_ps(chains.of[r][i + half])));
    for (std::size_t t = 0; t < tokens; ++t) out[t * stride + r] = chains.of[r][0][t];
  }
}

template <class Isa, class Block>
inline void pair_few_rows(const std::byte* w, std::size_t rows, std::size_t cols, const Activation* x,
                          std::size_t tokens, float* out, std::size_t stride) noexcept {
  const std::size_t row = cols / Reader<Isa, Block>::kElements;
  const auto* from = reinterpret_cast<const Block*>(w);
  if (x->together == nullptr) {
    for (std::size_t r = 0; r < rows; ++r, from += row)
      for (std::size_t t = 0; t < tokens; ++t)
        pair_row_product<Isa, Block, 1>(from, 0, cols, x[t], out + t * stride + r, 0);
    return;
  }
  std::size_t r = 0;
  for (; r + kRowsTogether <= rows; r += kRowsTogether, from += kRowsTogether * row)
    rows_together<Isa, Block, kRowsTogether>(from, cols, *x->together, tokens, out + r, stride);
  for (; r < rows; ++r, from += row) rows_together<Isa, Block, 1>(from, cols, *x->together, tokens, out + r, stride);
}

}  // namespace carat::cpu
