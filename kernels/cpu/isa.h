// The instruction sets that kernels are written over. A tag names the registers; ops_*.h give it its instructions.
// Adding one: a tag here, its overloads in ops_*.h, a three-line isa_NAME.cpp, a line in dispatch.cpp and in CMake.
#pragma once
#include <cstddef>
#include <cstdint>
#include <xsimd/xsimd.hpp>

namespace carat::cpu {

// `wide` holds floating-point work; `narrow`, at most 256 bits, what is done to codes as int16: sixteen are the natural
// piece of every block format, and 256-bit instructions have three ports to go to where 512-bit ones have two. (Rows of
// quantised weights are multiplied as bytes of 512 bits where those have vpdpbusd: quad_product_x86.h.)
// What fits the register file of panels: `panel_rows` rows times two registers of tokens in f32; `code_sums` sums of
// integers, of up to `code_columns` registers of tokens. Where tokens are many and rows few, weights are read least.
struct Baseline {
  using wide = xsimd::sse2;
  using narrow = xsimd::sse2;
  static constexpr std::size_t panel_rows = 6, code_sums = 8, code_columns = 2;
};
struct Avx2 {
  using wide = xsimd::fma3<xsimd::avx2>;
  using narrow = xsimd::fma3<xsimd::avx2>;
  static constexpr std::size_t panel_rows = 6, code_sums = 8, code_columns = 2;
};
struct Avx512Vnni {
  using wide = xsimd::avx512bw;
  using narrow = xsimd::fma3<xsimd::avx2>;
  static constexpr std::size_t panel_rows = 12, code_sums = 12, code_columns = 4;
};

struct Amx : Avx512Vnni {};  // the same registers, and tiles for panels

template <class T, class Isa>
using vec = xsimd::batch<T, typename Isa::wide>;
template <class T, class Isa>
using narrow_vec = xsimd::batch<T, typename Isa::narrow>;

// What xsimd 8 of Debian 12 and the later ones name differently: the sum of all lanes, and the bits of each.
template <class T, class Arch>
[[gnu::always_inline]] inline T sum_of(xsimd::batch<T, Arch> x) noexcept {
#if XSIMD_VERSION_MAJOR > 8
  return xsimd::reduce_add(x);
#else
  return xsimd::hadd(x);
#endif
}

template <class Arch>
[[gnu::always_inline]] inline xsimd::batch<std::int32_t, Arch> bits_of(xsimd::batch<float, Arch> x) noexcept {
  using Ints = xsimd::batch<std::int32_t, Arch>;
#if XSIMD_VERSION_MAJOR > 8
  return xsimd::bitwise_cast<typename Ints::value_type>(x);
#else
  return xsimd::bitwise_cast<Ints>(x);
#endif
}

// Sixteen int16: one register, or two of 128 bits.
template <class Isa>
struct Int16x16 {
  using Part = narrow_vec<std::int16_t, Isa>;
  static constexpr std::size_t kParts = 16 / Part::size;
  Part part[kParts];
};

}  // namespace carat::cpu
