// Rows of quantised weights times a few tokens in registers of 512 bits, a token in each lane: no sums across lanes.
// Each weight is read and decoded once; each token's result has the bits it has alone (quad_product_x86.h).
#pragma once
#include "kernels/cpu/quad_product_x86.h"

namespace carat::cpu {

// Rows that meet the tokens at once, so that tokens are loaded once for all of them.
inline constexpr std::size_t kRowsTogether = 8;

// A code of the activation is 256 * a high byte, signed, and a low one, unsigned: vpdpbusd adds four products of an
// unsigned byte and a signed one at once, and both bytes meet the same four codes of a row, which are loaded once.
template <class Isa>
inline void bring_together(const Activation* x, std::size_t tokens, std::size_t first, std::size_t last,
                           const Together& out) noexcept {
  for (std::size_t t = 0; t < kFewTokens; ++t) {
    const bool there = t < tokens;
    for (std::size_t g = first; g < last; ++g) {
      for (std::size_t h = 0; h < 2; ++h) {
        std::int32_t high[4] = {}, low[4] = {}, sum = 0;
        if (there) {
          const std::size_t at = kGroup * g + kHalfGroup * h;
          __builtin_memcpy(high, x[t].bytes + place_of_high_byte(at), 16);
          __builtin_memcpy(low, x[t].bytes + place_of_high_byte(at) + 64, 16);
          const std::int32_t* bias = x[t].bias + place_of_bias(at);
          sum = -(bias[0] + bias[1] + bias[2] + bias[3]) / 128;
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
  alignas(64) std::uint8_t codes[n][16 * kGroup];         // as registers hold them, with a bias where they are signed
  alignas(64) std::uint8_t signed_codes[n][16 * kGroup];  // the same without the bias, where there is one
  alignas(64) float scales[n][16], minima[n][16];

  template <class Block, std::size_t units>
  [[gnu::always_inline]] void load(std::size_t r, const Block* w) noexcept {
    const Step<Isa, Block, units> step(w);
#pragma GCC unroll 4
    for (std::size_t quad = 0; quad < units / 4; ++quad)
#pragma GCC unroll 2
      for (std::size_t h = 0; h < 2; ++h) {
        const std::size_t at = kQuad * quad + kQuad / 2 * h;
        const __m512i from = step.codes[quad].half[h];
        if constexpr (QuadReader<Isa, Block>::kSigned) {
          _mm512_store_si512(signed_codes[r] + at, from);
          _mm512_store_si512(codes[r] + at, _mm512_xor_si512(from, _mm512_set1_epi8(-128)));
        } else {
          _mm512_store_si512(codes[r] + at, from);
        }
      }
    _mm512_store_ps(scales[r], step.by.scales);
    _mm512_store_ps(minima[r], step.by.minima);
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
  if constexpr (!QuadReader<Isa, Block>::kSigned) return _mm512_setzero_si512();
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
        const std::size_t here = at + kQuad / 2 * h + 4 * i;
        const __m512i codes = broadcast_four<Isa>(w.codes[r] + here);
        high[r] = _mm512_dpbusd_epi32(high[r], codes, token_high);
        if constexpr (!QuadReader<Isa, Block>::kSigned)
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
  const std::size_t first = kQuad * (u / 4) + kHalfGroup * (u % 4);
  const std::int8_t* bytes = x.bytes + 2 * unit * kGroup * kFewTokens;
  const float* scale = x.scale + unit * kFewTokens;
  const std::int32_t* high_sum = x.high_sum + 2 * unit * kFewTokens;
  if constexpr (Reader<Isa, Block>::kScaleElements == 32) {
    add_group<Isa, Block, n, 2>(w, first, {bytes, scale, x.sum + unit * kFewTokens, high_sum}, u, chains);
  } else {
    for (std::size_t h = 0; h < 2; ++h)
      add_group<Isa, Block, n, 1>(w, first + kQuad / 2 * h,
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
inline void rows_together(const Block* first, std::size_t cols, const Together& x, std::size_t tokens, float* out,
                          std::size_t stride) noexcept {
  using Read = Reader<Isa, Block>;
  const std::size_t row = cols / Read::kElements;
  FewChains<Isa, n> chains = {};
  each_step<Block, Read>(
      first, cols / kGroup,
      [&]<std::size_t units>(const Block* w, std::size_t unit, std::size_t there) __attribute__((always_inline)) {
        if (there == units) return add_steps<Isa, Block, units, n>(w, row, unit, x, chains);
        DecodedSteps<Isa, n> decoded;
        for (std::size_t r = 0; r < n; ++r)
          decoded.template load<Block, units>(r, PaddedBlocks<Block>(w + r * row, there).of);
        for (std::size_t u = 0; u < there; ++u) add_decoded<Isa, Block, n>(decoded, u, unit + u, x, chains);
      });
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t half = 8; half > 0; half /= 2)  // as sum_of_lanes does
      for (std::size_t i = 0; i < half; ++i)
        _mm512_store_ps(chains.of[r][i],
                        _mm512_add_ps(_mm512_load_ps(chains.of[r][i]), _mm512_load_ps(chains.of[r][i + half])));
    for (std::size_t t = 0; t < tokens; ++t) out[t * stride + r] = chains.of[r][0][t];
  }
}

// So few tokens that each keeps its own sums across lanes: a row is decoded once, a step at a time.
template <class Isa, class Block>
inline void row_apart(const Block* first, std::size_t cols, const Activation* x, std::size_t tokens, float* out,
                      std::size_t stride) noexcept {
  using Read = Reader<Isa, Block>;
  __m512 chains[kFewTokens];
  for (std::size_t t = 0; t < tokens; ++t) chains[t] = _mm512_setzero_ps();
  each_step<Block, Read>(
      first, cols / kGroup,
      [&]<std::size_t units>(const Block* w, std::size_t unit, std::size_t there) __attribute__((always_inline)) {
        const auto add = [&](const Block* from) __attribute__((always_inline)) {
          const Step<Isa, Block, units> step(from);
          for (std::size_t t = 0; t < tokens; ++t)
            chains[t] = step.add(chains[t], step_of<Isa, Read>(x[t], unit), there);
        };
        if (there == units) {
          prefetch<Isa>(w, units * 32 / Read::kElements * sizeof(Block));
          add(w);
        } else {
          add(PaddedBlocks<Block>(w, there).of);
        }
      });
  for (std::size_t t = 0; t < tokens; ++t) out[t * stride] = sum_of_lanes<Isa>(chains[t]);
}

template <class Isa, class Block>
inline void quad_few_rows(const std::byte* w, std::size_t rows, std::size_t cols, const Activation* x,
                          std::size_t tokens, float* out, std::size_t stride) noexcept {
  const std::size_t row = cols / Reader<Isa, Block>::kElements;
  const auto* from = reinterpret_cast<const Block*>(w);
  if (x->together == nullptr) {
    for (std::size_t r = 0; r < rows; ++r, from += row) row_apart<Isa, Block>(from, cols, x, tokens, out + r, stride);
    return;
  }
  std::size_t r = 0;
  for (; r + kRowsTogether <= rows; r += kRowsTogether, from += kRowsTogether * row)
    rows_together<Isa, Block, kRowsTogether>(from, cols, *x->together, tokens, out + r, stride);
  for (; r < rows; ++r, from += row) rows_together<Isa, Block, 1>(from, cols, *x->together, tokens, out + r, stride);
}

}  // namespace carat::cpu
