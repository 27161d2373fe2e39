// What xsimd 8.1 lacks, one overload per register width. Intrinsics live only here.
#pragma once
#include <immintrin.h>

#include <type_traits>

#include "kernels/cpu/isa.h"
#include "kernels/half.h"

namespace carat::cpu {

template <class Arch>
inline constexpr bool kIs512 = std::is_same_v<Arch, xsimd::avx512bw>;
template <class Arch>
inline constexpr bool kIs256 = std::is_same_v<Arch, xsimd::fma3<xsimd::avx2>>;
template <class Isa>
inline constexpr bool kNarrowIs256 = kIs256<typename Isa::narrow>;

// a * b + c, fused where the machine can (xsimd 8.1 does not fuse 512-bit registers).
template <class Arch>
inline xsimd::batch<float, Arch> multiply_add(xsimd::batch<float, Arch> a, xsimd::batch<float, Arch> b,
                                              xsimd::batch<float, Arch> c) noexcept {
  if constexpr (kIs512<Arch>)
    return _mm512_fmadd_ps(a, b, c);
  else if constexpr (kIs256<Arch>)
    return _mm256_fmadd_ps(a, b, c);
  else
    return a * b + c;
}

// out[i] = the sum of x[i], for as many as a register holds (xsimd 8.1 mixes them up in 512-bit registers).
template <class Arch>
[[gnu::always_inline]] inline void sums_of(const xsimd::batch<float, Arch>* x, float* out) noexcept {
  if constexpr (kIs512<Arch>) {
    // Two registers become one at each step: first within parts of 128 bits, then part by part.
    const auto by_words = [&](std::size_t i) __attribute__((always_inline)) {
      const __m512 a = x[i], b = x[i + 1];
      return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    };
    const auto within_parts = [&](std::size_t i) __attribute__((always_inline)) {
      const __m512d a = _mm512_castps_pd(by_words(i)), b = _mm512_castps_pd(by_words(i + 2));
      return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    };
    const auto by_parts = [](__m512 a, __m512 b) __attribute__((always_inline)) {
      return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
    };
    _mm512_storeu_ps(out,
                     by_parts(by_parts(within_parts(0), within_parts(4)), by_parts(within_parts(8), within_parts(12))));
  } else {
    xsimd::haddp(x).store_unaligned(out);
  }
}

// The float of one half.
template <class Isa>
inline float half_value(std::uint16_t half) noexcept {
  if constexpr (kNarrowIs256<Isa>)
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
  else
    return half_to_float(half);
}

// One register of floats from as many halves.
template <class Arch>
inline xsimd::batch<float, Arch> load_half(const std::uint16_t* from) noexcept {
  if constexpr (kIs512<Arch>) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  } else if constexpr (kIs256<Arch>) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  } else {
    // Moved into a float's place, the exponent is short by 112: a product mends it, for subnormals too.
    const __m128i bits =
        _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)), _mm_setzero_si128());
    const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7FFF));
    const __m128 value = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)), _mm_set1_ps(0x1p112f));
    const __m128i huge = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7BFF)), _mm_set1_epi32(0x7F800000));
    const __m128i sign = _mm_slli_epi32(_mm_xor_si128(bits, magnitude), 16);
    return _mm_or_ps(value, _mm_castsi128_ps(_mm_or_si128(huge, sign)));
  }
}

// One register of floats from as many bf16.
template <class Arch>
inline xsimd::batch<float, Arch> load_bf16(const std::uint16_t* from) noexcept {
  if constexpr (kIs512<Arch>) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  } else if constexpr (kIs256<Arch>) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  } else {
    const __m128i bits = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), bits));
  }
}

// One register of int32 from as many signed bytes.
template <class Arch>
inline xsimd::batch<std::int32_t, Arch> load_bytes(const std::int8_t* from) noexcept {
  if constexpr (kIs512<Arch>) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  } else if constexpr (kIs256<Arch>) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  } else {
    std::int32_t four;
    __builtin_memcpy(&four, from, sizeof four);
    const __m128i twice = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), _mm_cvtsi32_si128(four));
    return _mm_srai_epi32(_mm_unpacklo_epi16(twice, twice), 24);
  }
}

// Rounds one register of floats to as many halves, to nearest even.
template <class Arch>
inline void store_half(xsimd::batch<float, Arch> x, std::uint16_t* to) noexcept {
  if constexpr (kIs512<Arch>) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  } else if constexpr (kIs256<Arch>) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  } else {
    alignas(16) float values[4];
    x.store_aligned(values);
    for (std::size_t i = 0; i < 4; ++i) to[i] = half_from_float(values[i]);
  }
}

template <class Isa>
inline std::uint16_t half_of(float x) noexcept {
  if constexpr (kNarrowIs256<Isa>)
    return static_cast<std::uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT)));
  else
    return half_from_float(x);
}

// Sixteen bytes as int16, unsigned or signed.
template <class Isa>
inline Int16x16<Isa> widen(const std::uint8_t* from) noexcept {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  if constexpr (kNarrowIs256<Isa>)
    return {{_mm256_cvtepu8_epi16(bytes)}};
  else
    return {{_mm_unpacklo_epi8(bytes, _mm_setzero_si128()), _mm_unpackhi_epi8(bytes, _mm_setzero_si128())}};
}
template <class Isa>
inline Int16x16<Isa> widen(const std::int8_t* from) noexcept {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  if constexpr (kNarrowIs256<Isa>)
    return {{_mm256_cvtepi8_epi16(bytes)}};
  else  // doubled into both bytes, then shifted down with the sign
    return {{_mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8), _mm_srai_epi16(_mm_unpackhi_epi8(bytes, bytes), 8)}};
}

// Element-wise `table[i]`, of sixteen, of the low and the high halves of sixteen bytes.
template <class Isa>
inline void look_up_nibbles(const std::uint8_t* from, const std::int8_t* table, Int16x16<Isa>& low,
                            Int16x16<Isa>& high) noexcept {
  if constexpr (kNarrowIs256<Isa>) {
    const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table)), mask = _mm_set1_epi8(15);
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    low = {{_mm256_cvtepi8_epi16(_mm_shuffle_epi8(values, _mm_and_si128(bytes, mask)))}};
    high = {{_mm256_cvtepi8_epi16(_mm_shuffle_epi8(values, _mm_and_si128(_mm_srli_epi16(bytes, 4), mask)))}};
  } else {
    std::int8_t values[2][16];
    for (std::size_t i = 0; i < 16; ++i) {
      values[0][i] = table[from[i] & 15];
      values[1][i] = table[from[i] >> 4];
    }
    low = widen<Isa>(values[0]);
    high = widen<Isa>(values[1]);
  }
}

// sums + a · b, as one register of int32.
template <class Isa>
inline narrow_vec<std::int32_t, Isa> dot(narrow_vec<std::int32_t, Isa> sums, const Int16x16<Isa>& a,
                                         const Int16x16<Isa>& b) noexcept {
  if constexpr (std::is_base_of_v<Avx512Vnni, Isa>) {
    const __m256i from = sums, left = a.part[0], right = b.part[0];  // g++ has a macro here that does not convert
    return _mm256_dpwssd_epi32(from, left, right);
  } else if constexpr (kNarrowIs256<Isa>) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a.part[0], b.part[0]));
  } else {
    const __m128i products = _mm_add_epi32(_mm_madd_epi16(a.part[0], b.part[0]), _mm_madd_epi16(a.part[1], b.part[1]));
    return _mm_add_epi32(sums, products);
  }
}

// Element i is `value` where bit i of `bits` is set, else 0.
template <class Isa>
inline Int16x16<Isa> where_bits(std::uint16_t bits, std::int16_t value) noexcept {
  if constexpr (std::is_base_of_v<Avx512Vnni, Isa>) {
    return {{_mm256_maskz_mov_epi16(bits, _mm256_set1_epi16(value))}};
  } else {
    alignas(32) static constexpr std::uint16_t kBits[16] = {1u << 0,  1u << 1,  1u << 2,  1u << 3, 1u << 4,  1u << 5,
                                                            1u << 6,  1u << 7,  1u << 8,  1u << 9, 1u << 10, 1u << 11,
                                                            1u << 12, 1u << 13, 1u << 14, 1u << 15};
    const auto all = static_cast<std::int16_t>(bits);
    if constexpr (kNarrowIs256<Isa>) {
      const __m256i bit = _mm256_load_si256(reinterpret_cast<const __m256i*>(kBits));
      const __m256i set = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16(all), bit), bit);
      return {{_mm256_and_si256(set, _mm256_set1_epi16(value))}};
    } else {
      const auto half = [&](std::size_t i) {
        const __m128i bit = _mm_load_si128(reinterpret_cast<const __m128i*>(kBits) + i);
        const __m128i set = _mm_cmpeq_epi16(_mm_and_si128(_mm_set1_epi16(all), bit), bit);
        return _mm_and_si128(set, _mm_set1_epi16(value));
      };
      return {{half(0), half(1)}};
    }
  }
}

// Two neighbouring int16 in every lane.
template <class Arch>
inline xsimd::batch<std::int32_t, Arch> pair_everywhere(const std::int16_t* from) noexcept {
  std::int32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return xsimd::batch<std::int32_t, Arch>(pair);
}

template <class Isa>
using IntRegister = typename vec<std::int32_t, Isa>::register_type;

// Has x read here and kept: g++ 12 would read it anew for every use, and loads, not products, would limit a panel.
template <class Isa>
[[gnu::always_inline]] inline IntRegister<Isa> kept(IntRegister<Isa> x) noexcept {
  if constexpr (kIs512<typename Isa::wide>) asm("" : "+v"(x));
  return x;
}

// sums + a · b, lane by lane, over the two int16 of each.
template <class Isa>
[[gnu::always_inline]] inline IntRegister<Isa> add_pairs(IntRegister<Isa> sums, IntRegister<Isa> a,
                                                         IntRegister<Isa> b) noexcept {
  if constexpr (kIs512<typename Isa::wide>) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));  // the intrinsic's sums are copied at every turn
    return sums;
  } else if constexpr (kIs256<typename Isa::wide>) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
  } else {
    return _mm_add_epi32(sums, _mm_madd_epi16(a, b));
  }
}

// Rounded to nearest even.
template <class Arch>
inline xsimd::batch<std::int32_t, Arch> round_to_int(xsimd::batch<float, Arch> x) noexcept {
  if constexpr (kIs512<Arch>)
    return _mm512_cvtps_epi32(x);
  else if constexpr (kIs256<Arch>)
    return _mm256_cvtps_epi32(x);
  else
    return _mm_cvtps_epi32(x);
}

// Sixteen floats times `factor`, rounded to nearest even and clamped to int16.
template <class Isa>
inline Int16x16<Isa> round_to_int16(const float* x, float factor) noexcept {
  if constexpr (kNarrowIs256<Isa>) {
    const auto ints = [&](std::size_t i) {
      return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(factor)));
    };
    return {{_mm256_permute4x64_epi64(_mm256_packs_epi32(ints(0), ints(8)), 0xD8)}};  // packs works within halves
  } else {
    const auto ints = [&](std::size_t i) {
      return _mm_cvtps_epi32(_mm_mul_ps(_mm_loadu_ps(x + i), _mm_set1_ps(factor)));
    };
    return {{_mm_packs_epi32(ints(0), ints(4)), _mm_packs_epi32(ints(8), ints(12))}};
  }
}

// The higher bytes of sixteen int16, 64 bytes further the lower ones, and -128 times the sum of each four higher ones.
template <class Isa>
[[gnu::always_inline]] inline void store_as_bytes(const Int16x16<Isa>& x, std::int8_t* bytes,
                                                  std::int32_t* bias) noexcept {
  const __m256i words = x.part[0], high_words = _mm256_srai_epi16(words, 8);
  const __m128i high = _mm256_cvtepi16_epi8(high_words);
  const __m128i biased = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(-128), high);  // unsigned: 128
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), high);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + 64), _mm256_cvtepi16_epi8(words));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bias), _mm_sub_epi32(_mm_setzero_si128(), biased));
}

// The i-th register of floats of sixteen int16.
template <class Isa>
inline narrow_vec<float, Isa> to_float(const Int16x16<Isa>& x, std::size_t i) noexcept {
  if constexpr (kNarrowIs256<Isa>) {
    const __m256i all = x.part[0];
    const __m128i eight = i == 0 ? _mm256_castsi256_si128(all) : _mm256_extracti128_si256(all, 1);
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(eight));
  } else {
    const __m128i eight = x.part[i / 2];
    const __m128i four = i % 2 == 0 ? _mm_unpacklo_epi16(eight, eight) : _mm_unpackhi_epi16(eight, eight);
    return _mm_cvtepi32_ps(_mm_srai_epi32(four, 16));
  }
}

template <class Arch>
[[gnu::always_inline]] inline float largest_lane(xsimd::batch<float, Arch> x) noexcept {
  const auto of_four = [](__m128 four) __attribute__((always_inline)) {
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  };
  const auto of_eight = [&](__m256 eight) __attribute__((always_inline)) {
    return of_four(_mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
  };
  if constexpr (kIs512<Arch>)
    return of_eight(_mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)));
  else if constexpr (kIs256<Arch>)
    return of_eight(x);
  else
    return of_four(x);
}

// The elements of x[0], each twice, in both registers.
template <class Isa>
inline void twice_each(narrow_vec<float, Isa> (&x)[2]) noexcept {
  if constexpr (kNarrowIs256<Isa>) {
    const __m256 all = x[0];
    x[0] = _mm256_permutevar8x32_ps(all, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    x[1] = _mm256_permutevar8x32_ps(all, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7));
  } else {
    const __m128 all = x[0];
    x[0] = _mm_unpacklo_ps(all, all);
    x[1] = _mm_unpackhi_ps(all, all);
  }
}

// Eight small unsigned integers as floats.
template <class Isa>
inline void bytes_to_floats(std::uint64_t bytes, float* out) noexcept {
  if constexpr (kNarrowIs256<Isa>) {
    const __m128i packed = _mm_cvtsi64_si128(static_cast<long long>(bytes));
    _mm256_storeu_ps(out, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(packed)));
  } else {
    for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<float>((bytes >> 8 * i) & 255);
  }
}

// `n` (1 or 8) halves, `stride` bytes apart, as floats.
template <class Isa, std::size_t n>
inline void gather_halves(const void* first, std::size_t stride, float* out) noexcept {
  const auto at = [&](std::size_t i) {
    return *reinterpret_cast<const std::uint16_t*>(static_cast<const char*>(first) + i * stride);
  };
  if constexpr (n == 8 && kNarrowIs256<Isa>) {
    // Each is read with as many bytes before it as bring it to its place: a blend goes to any port, an insert to one.
    const auto eight = [&](std::size_t i) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const char*>(first) + i * stride - 2 * i));
    };
    __m128i halves = _mm_blend_epi16(eight(0), eight(1), 2);
    halves = _mm_blend_epi16(halves, eight(2), 4);
    halves = _mm_blend_epi16(halves, eight(3), 8);
    halves = _mm_blend_epi16(halves, eight(4), 16);
    halves = _mm_blend_epi16(halves, eight(5), 32);
    halves = _mm_blend_epi16(halves, eight(6), 64);
    halves = _mm_blend_epi16(halves, eight(7), 128);
    _mm256_storeu_ps(out, _mm256_cvtph_ps(halves));
  } else {
    for (std::size_t i = 0; i < n; ++i) out[i] = half_value<Isa>(at(i));
  }
}

}  // namespace carat::cpu
