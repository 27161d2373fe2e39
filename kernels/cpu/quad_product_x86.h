// Rows of quantised weights times one token, or a few, in registers of 512 bits. The products of a unit are summed as
// integers, exactly, whatever their order; then, unit u of a step in lane u, scaled and added to the chain of floats of
// its lane. So quad_few_rows_x86.h, which sums them in another order, comes to the same bits.
#pragma once
#include "kernels/cpu/quad_codes_x86.h"
#include "kernels/cpu/row_product.h"
#include "kernels/cpu/step_scales_x86.h"

namespace carat::cpu {

// The sum of all lanes: of the two halves, of their two halves, and so on.
template <class Isa>
[[gnu::always_inline]] inline float sum_of_lanes(__m512 all) noexcept {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// Registers a and b of four groups of four lanes -> of each group, two sums of a and two of b.
template <class Isa>
[[gnu::always_inline]] inline __m512i add_crosswise(__m512i a, __m512i b) noexcept {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

// Of four registers the sums of four neighbouring lanes each: those of x[0] in lanes 0-3 and so on; with `halves`, x[1]
// and x[3] are the second halves of the units that x[0] and x[2] are the first of, and each unit's two stand together.
template <class Isa, bool halves>
[[gnu::always_inline]] inline __m512i sum_fours(const __m512i (&x)[4]) noexcept {
  const __m512i a = add_crosswise<Isa>(x[0], x[1]), b = add_crosswise<Isa>(x[2], x[3]);
  const __m512i sums = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  const __m512i order = halves ? _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)
                               : _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, sums);
}

// What of an activation a step meets.
template <class Isa>
struct StepOfToken {
  const std::int8_t* bytes;
  const std::int32_t* bias;
  const float *scale, *sum;
};
template <class Isa, class Read>
[[gnu::always_inline]] inline StepOfToken<Isa> step_of(const Activation& x, std::size_t unit) noexcept {
  return {x.bytes + 2 * kGroup * unit, x.bias + 8 * unit, x.scale + unit,
          Read::kScaleElements == 32 ? x.sum + unit : x.half_sum + 2 * unit};
}

// Codes times sixteen elements of each of four units: bytes of 256 * high + low, where vpdpbusd wants one factor
// unsigned: the low bytes are, and of the other products the codes, by a bias of 128 where they are signed.
template <class Isa, bool is_signed>
[[gnu::always_inline]] inline __m512i add_high(__m512i sums, __m512i codes, const std::int8_t* x) noexcept {
  if constexpr (is_signed) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(-128));
  return _mm512_dpbusd_epi32(sums, codes, _mm512_loadu_si512(x));
}
template <class Isa>
[[gnu::always_inline]] inline __m512i add_low(__m512i sums, __m512i codes, const std::int8_t* x) noexcept {
  return _mm512_dpbusd_epi32(sums, _mm512_loadu_si512(x), codes);
}

// The products of a quad: with `halves`, of first and second halves apart.
template <class Isa, bool is_signed, bool halves>
[[gnu::always_inline]] inline void multiply_quad(const QuadCodes<Isa>& w, const std::int8_t* x,
                                                 const std::int32_t* bias, __m512i* out) noexcept {
  const auto start = [&](std::size_t h) { return is_signed ? _mm512_loadu_si512(bias + 16 * h) : __m512i{}; };
  if constexpr (halves) {
    for (std::size_t h = 0; h < 2; ++h) {
      const __m512i high = add_high<Isa, is_signed>(start(h), w.half[h], x + 128 * h);
      out[h] = add_low<Isa>(_mm512_slli_epi32(high, 8), w.half[h], x + 128 * h + 64);
    }
  } else {
    __m512i sums = is_signed ? _mm512_add_epi32(start(0), start(1)) : __m512i{};
    sums = add_high<Isa, is_signed>(sums, w.half[0], x);
    sums = add_high<Isa, is_signed>(sums, w.half[1], x + 128);
    sums = _mm512_slli_epi32(sums, 8);
    *out = add_low<Isa>(add_low<Isa>(sums, w.half[0], x + 64), w.half[1], x + 192);
  }
}

// A step of up to `units` units, decoded; those that are not `there` count as zeros.
template <class Isa, class Block, std::size_t units>
struct Step {
  using Read = Reader<Isa, Block>;
  static constexpr std::size_t kQuads = units / 4;
  static constexpr bool kHalves = Read::kScaleElements == 16, kSigned = QuadReader<Isa, Block>::kSigned;
  QuadCodes<Isa> codes[kQuads];
  StepScales<Isa> by;

  [[gnu::always_inline]] explicit Step(const Block* w) noexcept : by(step_scales<Isa, units>(w)) {
    constexpr std::size_t kInBlock = Read::kElements == 32 ? 4 : 2;
    const auto read = [&]<std::size_t quad>() __attribute__((always_inline)) {
      codes[quad] = QuadReader<Isa, Block>::template codes<quad % kInBlock>(w + quad / kInBlock);
    };
    [&]<std::size_t... quad>(std::index_sequence<quad...>) __attribute__((always_inline)) {
      (read.template operator()<quad>(), ...);
    }
    (std::make_index_sequence<kQuads>{});
  }

  [[gnu::always_inline]] __m512 add(__m512 chains, const StepOfToken<Isa>& x, std::size_t there) const noexcept {
    __m512i products[4] = {};
#pragma GCC unroll 4
    for (std::size_t quad = 0; quad < kQuads; ++quad)
      multiply_quad<Isa, kSigned, kHalves>(codes[quad], x.bytes + 2 * kQuad * quad, x.bias + 32 * quad,
                                           products + (kHalves ? 2 * quad : quad));
    const __m512 sums = _mm512_cvtepi32_ps(sum_fours<Isa, kHalves>(products));
    const auto used = static_cast<__mmask16>((1u << there) - 1);
    __m512 scale = _mm512_maskz_loadu_ps(used, x.scale);
    if constexpr (kHalves)
      scale = _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), scale);
    if constexpr (kHasRest<Read>) {
      const auto used_sums = static_cast<__mmask16>(kHalves ? (1u << 2 * there) - 1 : used);
      chains = _mm512_fmadd_ps(by.minima, _mm512_maskz_loadu_ps(used_sums, x.sum), chains);
    }
    return _mm512_fmadd_ps(sums, _mm512_mul_ps(by.scales, scale), chains);
  }
};

// Calls f.operator()<units>(w, unit, there) for each step of a row.
template <class Block, class Read, class F>
[[gnu::always_inline]] inline void each_step(const Block* w, std::size_t units, F f) noexcept {
  constexpr std::size_t kUnits = kStepUnits<Read>, kPerBlock = Read::kElements / 32;
  std::size_t at = 0;
  const auto step = [&]<std::size_t size>() __attribute__((always_inline)) {
    f.template operator()<size>(w, at, size);
    at += size;
    w += size / kPerBlock;
  };
  while (at + kUnits <= units) step.template operator()<kUnits>();
  if constexpr (kUnits == 16)
    if (at + 8 <= units) step.template operator()<8>();
  if constexpr (kPerBlock == 1) {
    if (at + 4 <= units) step.template operator()<4>();
    if (at < units) f.template operator()<4>(w, at, units - at);
  }
}

// `there` blocks, made up to four with zeros.
template <class Block>
struct PaddedBlocks {
  Block of[4] = {};
  PaddedBlocks(const Block* from, std::size_t there) noexcept {
    for (std::size_t i = 0; i < there; ++i) of[i] = from[i];
  }
};

// `n` rows that lie `apart` blocks from one another.
template <class Isa, class Block, std::size_t n>
[[gnu::always_inline]] inline void quad_row_product(const Block* first, std::size_t apart, std::size_t cols,
                                                    const Activation& x, float* out, std::size_t stride) noexcept {
  using Read = Reader<Isa, Block>;
  __m512 chains[n];
  for (std::size_t r = 0; r < n; ++r) chains[r] = _mm512_setzero_ps();
  each_step<Block, Read>(
      first, cols / kGroup,
      [&]<std::size_t units>(const Block* w, std::size_t unit, std::size_t there) __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (std::size_t r = 0; r < n; ++r) {
          if (there == units) {
            prefetch<Isa>(w + r * apart, units * 32 / Read::kElements * sizeof(Block));
            chains[r] = Step<Isa, Block, units>(w + r * apart).add(chains[r], step_of<Isa, Read>(x, unit), units);
          } else {
            const PaddedBlocks<Block> end(w + r * apart, there);
            chains[r] = Step<Isa, Block, units>(end.of).add(chains[r], step_of<Isa, Read>(x, unit), there);
          }
        }
      });
  for (std::size_t r = 0; r < n; ++r) out[r * stride] = sum_of_lanes<Isa>(chains[r]);
}

template <class Isa, class Block>
inline void quad_row_products(const std::byte* w, std::size_t rows, std::size_t cols, const Activation& x,
                              float* out) noexcept {
  const auto product = [&]<std::size_t n>(const Block* first, std::size_t apart, float* to, std::size_t stride)
      __attribute__((always_inline)) {
    quad_row_product<Isa, Block, n>(first, apart, cols, x, to, stride);
  };
  multiply_in_streams<Isa, kStreams, Block>(w, rows, cols / Reader<Isa, Block>::kElements, out, product);
}

}  // namespace carat::cpu
