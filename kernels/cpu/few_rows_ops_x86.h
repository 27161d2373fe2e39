// The products of few_rows.h in registers of 512 bits, two units of 32 weights side by side.
#pragma once
#include "kernels/cpu/unpack.h"

namespace carat::cpu {

template <class Isa>
inline constexpr bool kTakesPairs = std::is_base_of_v<Avx512Vnni, Isa>;

// Sixteen int16 from `a` and sixteen from `a + 32`: the same half of two units.
template <class Isa>
[[gnu::always_inline]] inline vec<std::int16_t, Isa> load_halves(const std::int16_t* a) noexcept {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + 32));
  return vec<std::int16_t, Isa>(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

// sums + a · b, pair by pair.
template <class Isa>
[[gnu::always_inline]] inline vec<std::int32_t, Isa> dot_pairs(vec<std::int32_t, Isa> sums, const std::int16_t* a,
                                                               vec<std::int16_t, Isa> b) noexcept {
  const __m512i from = sums, right = b;  // g++ has a macro here that does not convert
  return vec<std::int32_t, Isa>(_mm512_dpwssd_epi32(from, _mm512_load_si512(a), right));
}

// scales[a] eight times, then scales[b] eight times.
template <class Isa, std::size_t a, std::size_t b>
[[gnu::always_inline]] inline vec<float, Isa> spread(vec<float, Isa> scales) noexcept {
  constexpr int i = static_cast<int>(a), j = static_cast<int>(b);
  return _mm512_permutexvar_ps(_mm512_setr_epi32(i, i, i, i, i, i, i, i, j, j, j, j, j, j, j, j), scales);
}

// The scales of eight units of weights, times the token's.
template <class Isa, class Source>
[[gnu::always_inline]] inline vec<float, Isa> unit_scales(const Source& w, const float* of_token) noexcept {
  const __m256 x = _mm256_loadu_ps(of_token);
  if constexpr (Source::kScales == 8) {
    return vec<float, Isa>(_mm512_castps256_ps512(_mm256_mul_ps(_mm256_load_ps(w.scales), x)));
  } else {
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const vec<float, Isa> both(_mm512_permutexvar_ps(twice, _mm512_castps256_ps512(x)));
    return vec<float, Isa>::load_aligned(w.scales) * both;
  }
}

// Eight decoded units of `n` rows, times the token from element 32 * `at` on, into the sums of each row: what add_units
// does, with both chains of products in one register.
template <class Isa, class Source, std::size_t n>
[[gnu::always_inline]] inline void add_decoded_pairs(const Source* rows, const Activation& x, std::size_t at,
                                                     RowSums<Isa>* sums) noexcept {
  using Floats = vec<float, Isa>;
  using Ints = vec<std::int32_t, Isa>;
  constexpr bool kOneScale = Source::kScales == 8;
  const std::int16_t* q = x.q + kGroup * at;
  vec<std::int16_t, Isa> token[8];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 8; ++i) token[i] = load_halves<Isa>(q + 64 * (i / 2) + 16 * (i % 2));
#pragma GCC unroll 4
  for (std::size_t r = 0; r < n; ++r) {
    auto* products = reinterpret_cast<float*>(sums[r].products);
    const Floats scales = unit_scales<Isa>(rows[r], x.scale + at);
    Floats chains = Floats::load_unaligned(products);
    const auto add_pair = [&]<std::size_t pair>() __attribute__((always_inline)) {
      const std::int16_t* codes = rows[r].codes + 64 * pair;
      const Ints first = dot_pairs<Isa>(Ints(0), codes, token[2 * pair]);
      if constexpr (kOneScale) {
        const Ints both = dot_pairs<Isa>(first, codes + 32, token[2 * pair + 1]);
        chains = multiply_add(xsimd::to_float(both), spread<Isa, 2 * pair, 2 * pair + 1>(scales), chains);
      } else {
        const Ints second = dot_pairs<Isa>(Ints(0), codes + 32, token[2 * pair + 1]);
        chains = multiply_add(xsimd::to_float(first), spread<Isa, 4 * pair, 4 * pair + 2>(scales), chains);
        chains = multiply_add(xsimd::to_float(second), spread<Isa, 4 * pair + 1, 4 * pair + 3>(scales), chains);
      }
    };
    add_pair.template operator()<0>();
    add_pair.template operator()<1>();
    add_pair.template operator()<2>();
    add_pair.template operator()<3>();
    chains.store_unaligned(products);
    const float* of = (kOneScale ? x.sum : x.half_sum) + Source::kScales / 8 * at;
    if constexpr (Source::Read::kHasMinimum)
      add_minima<Isa, Source::kScales>(rows[r].minima, 1, of, sums[r]);
    else if constexpr (HasOffset<typename Source::Read>)
      add_minima<Isa, Source::kScales>(rows[r].scales, -static_cast<float>(Source::Read::kOffset), of, sums[r]);
  }
}

}  // namespace carat::cpu
