// Rows of quantised weights times a few tokens in registers of 512 bits, a token in each lane: no sums across lanes.
// Each weight is read and decoded once; each token's result has the bits it has alone (pair_product_x86.h).
#pragma once
#include "kernels/cpu/pair_bytes_x86.h"
#include "kernels/cpu/pair_product_x86.h"

namespace carat::cpu {

// Rows that meet the tokens at once, so that tokens are loaded once for all of them.
inline constexpr std::size_t kRowsTogether = 8;

// A code of the activation is 256 * a high byte, signed, and a low one, unsigned: vpdpbusd adds four products of an
// unsigned byte and a signed one at once, and both bytes meet the same four codes of a row, which are loaded once.
template <class Isa>
inline void bring_together(const Activation* x, std::size_t tokens, std::size_t cols, std::size_t first,
                           std::size_t last, const Together& out) noexcept {
  for (std::size_t t = 0; t < kFewTokens; ++t) {
    const bool there = t < tokens;
    for (std::size_t g = first; g < last; ++g) {
      for (std::size_t h = 0; h < 2; ++h) {
        std::int32_t high[4] = {}, low[4] = {}, sum = 0;
        if (there) {
          const __m256i q = _mm256_loadu_si256(
              reinterpret_cast<const __m256i*>(x[t].q + place_of_code(kGroup * g + kHalfGroup * h, cols, true)));
          const __m256i highs = _mm256_srai_epi16(q, 8);
          _mm_storeu_si128(reinterpret_cast<__m128i*>(high), _mm256_cvtepi16_epi8(highs));
          _mm_storeu_si128(reinterpret_cast<__m128i*>(low), _mm256_cvtepi16_epi8(q));
          sum = sum_of(narrow_vec<std::int32_t, Isa>(_mm256_madd_epi16(highs, _mm256_set1_epi16(1))));
        }
        for (std::size_t i = 0; i < 4; ++i) {
          std::int8_t* to = out.bytes + 8 * ((8 * g + 4 * h + i) * kFewTokens) + 4 * t;
          __builtin_memcpy(to, high + i, 4);
          __builtin_memcpy(to + 4 * kFewTokens, low + i, 4);
        }
        out.high_sum[(2 * g + h) * kFewTokens + t] = sum;
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
  alignas(64) std::uint8_t codes[n][16 * kGroup];         // in pairs: as registers hold them
  alignas(64) std::uint8_t signed_codes[n][16 * kGroup];  // the same without the bias, where there is one
  alignas(64) float scales[n][16], minima[n][16];

  template <class Block, std::size_t units>
  [[gnu::always_inline]] void load(std::size_t r, const Block* w) noexcept {
    constexpr std::size_t kInBlocks = Reader<Isa, Block>::kElements == 32 ? 16 : 4;
    const auto store = [&]<std::size_t pair>() __attribute__((always_inline)) {
      const PairBytes<Isa> from = ByteReader<Isa, Block>::template codes<pair % kInBlocks>(w + pair / kInBlocks);
      for (std::size_t h = 0; h < 2; ++h) {
        const std::size_t at = 64 * pair + 32 * h;
        _mm256_store_si256(reinterpret_cast<__m256i*>(codes[r] + at), from.half[h]);
        if constexpr (ByteReader<Isa, Block>::kBias != 0)
          _mm256_store_si256(reinterpret_cast<__m256i*>(signed_codes[r] + at),
                             _mm256_xor_si256(from.half[h], _mm256_set1_epi8(-128)));
      }
    };
    [&]<std::size_t... pair>(std::index_sequence<pair...>) __attribute__((always_inline)) {
      (store.template operator()<pair>(), ...);
    }
    (std::make_index_sequence<units / 2>{});
    const StepScales<Isa> by = step_scales<Isa, units, Block, ByteReader<Isa, Block>>(w);
    _mm512_store_ps(scales[r], by.scales);
    _mm512_store_ps(minima[r], by.minima);
  }
};

// The chains of floats of each row and lane of a step, tokens side by side.
template <class Isa, std::size_t n>
struct FewChains {
  alignas(64) float of[n][16][kFewTokens];
};

// The same four bytes for all tokens.
template <class Isa>
[[gnu::always_inline]] inline __m512i broadcast_four(const std::uint8_t* from) noexcept {
  std::int32_t four;
  __builtin_memcpy(&four, from, 4);
  return _mm512_set1_epi32(four);
}

// Where a group of codes that share a scale finds its tokens in Together.
template <class Isa>
struct GroupOfTokens {
  const std::int8_t* bytes;
  const float *scale, *sum;
  const std::int32_t* high_sum;  // of each half
};

// What the bias of all codes makes of the sums of high bytes of a group, to begin with.
template <class Isa, class Block, std::size_t halves>
[[gnu::always_inline]] inline __m512i without_bias(const std::int32_t* high_sum) noexcept {
  constexpr std::uint8_t kBias = ByteReader<Isa, Block>::kBias;
  static_assert(kBias == 0 || kBias == 1 << 7);
  if constexpr (kBias == 0) return _mm512_setzero_si512();
  __m512i sum = _mm512_loadu_si512(high_sum);
  if constexpr (halves == 2) sum = _mm512_add_epi32(sum, _mm512_loadu_si512(high_sum + kFewTokens));
  return _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum, 7));
}

// Adds `halves` halves of a unit, which share a scale, to the chains of a lane.
template <class Isa, class Block, std::size_t n, std::size_t halves>
[[gnu::always_inline]] inline void add_group(const DecodedSteps<Isa, n>& w, std::size_t at,
                                             const GroupOfTokens<Isa>& tokens, std::size_t lane,
                                             FewChains<Isa, n>& chains) noexcept {
  __m512i high[n], low[n];
  const __m512i start = without_bias<Isa, Block, halves>(tokens.high_sum);
#pragma GCC unroll 16
  for (std::size_t r = 0; r < n; ++r) {
    high[r] = start;
    low[r] = _mm512_setzero_si512();
  }
#pragma GCC unroll 2
  for (std::size_t h = 0; h < halves; ++h)
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int8_t* of_tokens = tokens.bytes + 8 * kFewTokens * (4 * h + i);
      const __m512i token_high = _mm512_loadu_si512(of_tokens);
      const __m512i token_low = _mm512_loadu_si512(of_tokens + 4 * kFewTokens);
#pragma GCC unroll 16
      for (std::size_t r = 0; r < n; ++r) {
        const std::size_t here = at + 32 * h + 4 * i;
        const __m512i codes = broadcast_four<Isa>(w.codes[r] + here);
        high[r] = _mm512_dpbusd_epi32(high[r], codes, token_high);
        if constexpr (ByteReader<Isa, Block>::kBias == 0)
          low[r] = _mm512_dpbusd_epi32(low[r], token_low, codes);
        else
          low[r] = _mm512_dpbusd_epi32(low[r], token_low, broadcast_four<Isa>(w.signed_codes[r] + here));
      }
    }
  const __m512 scale = _mm512_loadu_ps(tokens.scale);
#pragma GCC unroll 16
  for (std::size_t r = 0; r < n; ++r) {
    __m512 chain = _mm512_load_ps(chains.of[r][lane]);
    if constexpr (kHasRest<Reader<Isa, Block>>)
      chain = _mm512_fmadd_ps(_mm512_set1_ps(w.minima[r][lane]), _mm512_loadu_ps(tokens.sum), chain);
    const __m512 by = _mm512_mul_ps(_mm512_set1_ps(w.scales[r][lane]), scale);
    const __m512i sums = _mm512_add_epi32(_mm512_slli_epi32(high[r], 8), low[r]);
    _mm512_store_ps(chains.of[r][lane], _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), by, chain));
  }
}

// Unit `u` of a decoded step, which is unit `unit` of the row.
template <class Isa, class Block, std::size_t n>
[[gnu::always_inline]] inline void add_decoded(const DecodedSteps<Isa, n>& w, std::size_t u, std::size_t unit,
                                               const Together& x, FewChains<Isa, n>& chains) noexcept {
  const std::size_t first = 64 * (u / 2) + 16 * (u % 2);
  const std::int8_t* bytes = x.bytes + 2 * unit * kGroup * kFewTokens;
  const float* scale = x.scale + unit * kFewTokens;
  const std::int32_t* high_sum = x.high_sum + 2 * unit * kFewTokens;
  if constexpr (Reader<Isa, Block>::kScaleElements == 32) {
    add_group<Isa, Block, n, 2>(w, first, {bytes, scale, x.sum + unit * kFewTokens, high_sum}, u, chains);
  } else {
    for (std::size_t h = 0; h < 2; ++h)
      add_group<Isa, Block, n, 1>(w, first + 32 * h,
                                  {bytes + 2 * h * kHalfGroup * kFewTokens, scale,
                                   x.half_sum + (2 * unit + h) * kFewTokens, high_sum + h * kFewTokens},
                                  2 * u + h, chains);
  }
}

// `units` units from column 32 * `at` on, of rows that lie `stride` blocks apart.
template <class Isa, class Block, std::size_t units, std::size_t n>
inline void add_steps(const Block* w, std::size_t stride, std::size_t at, const Together& x,
                      FewChains<Isa, n>& chains) noexcept {
  constexpr std::size_t kBytes = units * kGroup / Reader<Isa, Block>::kElements * sizeof(Block);
  DecodedSteps<Isa, n> decoded;
  for (std::size_t r = 0; r < n; ++r) decoded.template load<Block, units>(r, w + r * stride);
  for (std::size_t u = 0; u < units; ++u) {
    if (64 * u < kBytes)  // the rows that come next, not all lines at once
      for (std::size_t r = 0; r < n; ++r)
        __builtin_prefetch(reinterpret_cast<const char*>(w + (n + r) * stride) + 64 * u);
    add_decoded<Isa, Block, n>(decoded, u, at + u, x, chains);
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
      for (std::size_t u = 0; at + u < units; ++u) add_decoded<Isa, Block, n>(decoded, u, at + u, x, chains);
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
