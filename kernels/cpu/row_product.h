// Rows of weights times one token, the whole of decoding: each weight is read once, straight from the file's mapping.
#pragma once
#include <utility>

#include "kernels/cpu/readers.h"
#include "kernels/cpu/sfp_ops_x86.h"
#include "kernels/cpu/staged_codes_x86.h"
#include "kernels/cpu/table.h"

namespace carat::cpu {

// Bytes between what is read and what is asked for: the hardware's own prefetcher stops at each page.
inline constexpr std::size_t kPrefetchDistance = 2048;

// Rows in flight at once, each from another part of those to be multiplied: several streams keep more of memory busy
// than one.
inline constexpr std::size_t kStreams = 4;
// Likewise of floats, as many as have their sums in registers.
template <class Isa>
inline constexpr std::size_t kFloatStreams = kIs512<typename Isa::wide> ? 4 : 2;

template <class Isa>
[[gnu::always_inline]] inline void prefetch(const void* from, std::size_t bytes) noexcept {
#pragma GCC unroll 16
  for (std::size_t i = 0; i < bytes; i += 64)
    __builtin_prefetch(static_cast<const char*>(from) + kPrefetchDistance + i);
}

// Rows of `row` elements each, cut into as many parts as there are streams, whose rows meet the token side by side:
// those `apart` elements from one another go to out[0], out[stride] and so on. What is left over goes one by one. The
// beginning of each part is asked for first: prefetch() is too late for it.
template <class Isa, std::size_t streams, class Element, class Product>
[[gnu::always_inline]] inline void multiply_in_streams(const std::byte* w, std::size_t rows, std::size_t row,
                                                       float* out, Product product) noexcept {
  const auto* from = reinterpret_cast<const Element*>(w);
  const std::size_t each = rows / streams;
  for (std::size_t i = 0; i < kPrefetchDistance; i += 64)
    for (std::size_t s = 0; s < streams; ++s)
      __builtin_prefetch(reinterpret_cast<const std::byte*>(from + s * each * row) + i);
  for (std::size_t r = 0; r < each; ++r)
    product.template operator()<streams>(from + r * row, each * row, out + r, each);
  for (std::size_t r = streams * each; r < rows; ++r) product.template operator()<1>(from + r * row, 0, out + r, 0);
}

// The running sums of one row: two chains for the products, so that one's latency hides behind the other.
template <class Isa>
struct RowSums {
  using Floats = narrow_vec<float, Isa>;
  Floats products[2] = {Floats(0.0f), Floats(0.0f)};
  Floats minima = Floats(0.0f);
  float rest = 0;  // minima of single units, at the end of a row
  float total() const noexcept { return sum_of(products[0] + products[1] + minima) + rest; }
};

// Has floats read from memory again: one that is broadcast from there costs no shuffle, as one kept in a register
// would.
template <std::size_t n>
[[gnu::always_inline]] inline void leave_in_memory(float (&x)[n]) noexcept {
  asm("" : "+m"(x));
}

// out[i] *= by[i], or by[i / 2] for two scales per unit.
template <class Isa, std::size_t n, std::size_t per_unit>
[[gnu::always_inline]] inline void scale_by_units(float (&out)[n], const float* by) noexcept {
  using Floats = narrow_vec<float, Isa>;
  if constexpr (n < per_unit * Floats::size) {
    for (std::size_t i = 0; i < n; ++i) out[i] *= by[i / per_unit];
  } else {
    for (std::size_t i = 0; i < n; i += per_unit * Floats::size, by += Floats::size) {
      Floats factors[2] = {Floats::load_unaligned(by), Floats()};
      if constexpr (per_unit == 2) twice_each<Isa>(factors);
      for (std::size_t j = 0; j < per_unit; ++j) {
        float* at = out + i + j * Floats::size;
        (Floats::load_aligned(at) * factors[j]).store_aligned(at);
      }
    }
    leave_in_memory(out);
  }
}

// sums + factor * minima · the sums of the activation that belong to them.
template <class Isa, std::size_t n>
[[gnu::always_inline]] inline void add_minima(const float* minima, float factor, const float* of,
                                              RowSums<Isa>& sums) noexcept {
  using Floats = narrow_vec<float, Isa>;
  if constexpr (n % Floats::size == 0) {
    for (std::size_t i = 0; i < n; i += Floats::size)
      sums.minima =
          multiply_add(Floats::load_aligned(minima + i), Floats(factor) * Floats::load_unaligned(of + i), sums.minima);
  } else {
    for (std::size_t i = 0; i < n; ++i) sums.rest += factor * minima[i] * of[i];
  }
}

// What an element is more than scale * (the code that is multiplied): a minimum, or what an offset of all codes makes.
template <class Isa, class Block, std::size_t units>
[[gnu::always_inline]] inline void add_rest(const Block* w, const float* scales, const Activation& x, std::size_t at,
                                            RowSums<Isa>& sums) noexcept {
  using Read = Reader<Isa, Block>;
  constexpr std::size_t kPerUnit = 32 / Read::kScaleElements, kScales = units * kPerUnit;
  const float* of = (kPerUnit == 1 ? x.sum : x.half_sum) + kPerUnit * at;
  if constexpr (Read::kHasMinimum) {
    alignas(64) float minima[kScales];
    Read::template minima<units>(w, minima);
    add_minima<Isa, kScales>(minima, 1, of, sums);
  } else if constexpr (HasOffset<Read>) {
    add_minima<Isa, kScales>(scales, -static_cast<float>(Read::kOffset), of, sums);
  }
}

// `units` units of weights from `w`, times the activation from element 32 * `at` on.
template <class Isa, class Block, std::size_t units>
[[gnu::always_inline]] inline void add_units(const Block* w, const Activation& x, std::size_t at,
                                             RowSums<Isa>& sums) noexcept {
  using Read = Reader<Isa, Block>;
  using Ints = narrow_vec<std::int32_t, Isa>;
  using Floats = narrow_vec<float, Isa>;
  constexpr std::size_t kPerUnit = 32 / Read::kScaleElements, kScales = units * kPerUnit;

  alignas(64) float scales[kScales];
  Read::template scales<units>(w, scales);
  add_rest<Isa, Block, units>(w, scales, x, at, sums);
  scale_by_units<Isa, kScales, kPerUnit>(scales, x.scale + at);

  const std::int16_t* q = x.q + kGroup * at;
  const StagedCodes<Isa, Block, units> staged(w);
  const auto add_unit = [&]<std::size_t unit>() __attribute__((always_inline)) {
    const Codes<Isa> codes = staged.template of<unit>();
    const Int16x16<Isa> x0 = load16<Isa>(q + 32 * unit), x1 = load16<Isa>(q + 32 * unit + 16);
    Floats& chain = sums.products[unit % 2];
    const Ints first = dot<Isa>(Ints(0), codes.half[0], x0);
    if constexpr (kPerUnit == 1) {
      chain = multiply_add(xsimd::to_float(dot<Isa>(first, codes.half[1], x1)), Floats(scales[unit]), chain);
    } else {
      chain = multiply_add(xsimd::to_float(first), Floats(scales[2 * unit]), chain);
      const Ints second = dot<Isa>(Ints(0), codes.half[1], x1);
      chain = multiply_add(xsimd::to_float(second), Floats(scales[2 * unit + 1]), chain);
    }
  };
  [&]<std::size_t... unit>(std::index_sequence<unit...>) __attribute__((always_inline)) {
    (add_unit.template operator()<unit>(), ...);
  }
  (std::make_index_sequence<units>{});
}

// `n` rows that lie `apart` blocks from one another.
template <class Isa, class Block, std::size_t n>
[[gnu::always_inline]] inline void row_product(const Block* w, std::size_t apart, std::size_t cols, const Activation& x,
                                               float* out, std::size_t stride) noexcept {
  constexpr std::size_t kBlocks = 256 / Reader<Isa, Block>::kElements;  // blocks that make eight units
  RowSums<Isa> sums[n];
  std::size_t at = 0;  // in units of 32
  for (; at + 8 <= cols / kGroup; at += 8, w += kBlocks)
    for (std::size_t r = 0; r < n; ++r) {
      prefetch<Isa>(w + r * apart, kBlocks * sizeof(Block));
      add_units<Isa, Block, 8>(w + r * apart, x, at, sums[r]);
    }
  if constexpr (kBlocks == 8)
    for (; at < cols / kGroup; ++at, ++w)
      for (std::size_t r = 0; r < n; ++r) add_units<Isa, Block, 1>(w + r * apart, x, at, sums[r]);
  for (std::size_t r = 0; r < n; ++r) out[r * stride] = sums[r].total();
}

template <class Isa, class Block>
inline void quantized_row_products(const std::byte* w, std::size_t rows, std::size_t cols, const Activation& x,
                                   float* out) noexcept {
  const auto product = [&]<std::size_t n>(const Block* first, std::size_t apart, float* to, std::size_t stride)
      __attribute__((always_inline)) {
    row_product<Isa, Block, n>(first, apart, cols, x, to, stride);
  };
  multiply_in_streams<Isa, kStreams, Block>(w, rows, cols / Reader<Isa, Block>::kElements, out, product);
}

// Weights in floating point: how a register of them is read, or four, and a single one.
template <class Isa, class Read>
struct ReadFloats {
  template <class Element>
  [[gnu::always_inline]] static void load_four(const Element* from, vec<float, Isa> (&out)[4]) noexcept {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) out[i] = Read::load(from + i * vec<float, Isa>::size);
  }
};
template <class Isa>
struct ReadF32 : ReadFloats<Isa, ReadF32<Isa>> {
  using Element = float;
  static vec<float, Isa> load(const float* from) noexcept { return vec<float, Isa>::load_unaligned(from); }
  static float value(float x) noexcept { return x; }
};
template <class Isa>
struct ReadF16 : ReadFloats<Isa, ReadF16<Isa>> {
  using Element = std::uint16_t;
  static vec<float, Isa> load(const std::uint16_t* from) noexcept { return load_half<typename Isa::wide>(from); }
  static float value(std::uint16_t x) noexcept { return half_value<Isa>(x); }
};
template <class Isa>
struct ReadBF16 : ReadFloats<Isa, ReadBF16<Isa>> {
  using Element = std::uint16_t;
  static vec<float, Isa> load(const std::uint16_t* from) noexcept { return load_bf16<typename Isa::wide>(from); }
  static float value(std::uint16_t x) noexcept {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(x) << 16);
  }
};
template <class Isa>
struct ReadSFP {
  using Element = std::uint8_t;
  static vec<float, Isa> load(const std::uint8_t* from) noexcept {
    alignas(64) std::uint8_t codes[4 * vec<float, Isa>::size] = {};
    __builtin_memcpy(codes, from, vec<float, Isa>::size);
    vec<float, Isa> out[4];
    load_four(codes, out);
    return out[0];
  }
  [[gnu::always_inline]] static void load_four(const std::uint8_t* from, vec<float, Isa> (&out)[4]) noexcept {
    load_sfp<typename Isa::wide>(from, out);
  }
  static float value(std::uint8_t code) noexcept { return sfp_to_float(code); }
};

// The sum of four chains over the first `i` elements of a · b, and of the others: single registers, then elements.
template <class Isa, class Read>
[[gnu::always_inline]] inline float finish_float_product(const typename Read::Element* a, const float* b, std::size_t i,
                                                         std::size_t n, vec<float, Isa> (&sums)[4]) noexcept {
  constexpr std::size_t kLanes = vec<float, Isa>::size;
  for (; i + kLanes <= n; i += kLanes)
    sums[0] = multiply_add(Read::load(a + i), vec<float, Isa>::load_unaligned(b + i), sums[0]);
  float total = sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; ++i) total += Read::value(a[i]) * b[i];
  return total;
}

// a · b over `cols` elements, for `n` rows a that lie `apart` elements from one another, in the format of Read.
template <class Isa, class Read, std::size_t n>
[[gnu::always_inline]] inline void float_product(const typename Read::Element* a, std::size_t apart, std::size_t cols,
                                                 const float* b, float* out, std::size_t stride) noexcept {
  using Floats = vec<float, Isa>;
  constexpr std::size_t kLanes = Floats::size;
  Floats sums[n][4];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < n; ++r)
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) sums[r][j] = Floats(0.0f);
  std::size_t i = 0;
  for (; i + 4 * kLanes <= cols; i += 4 * kLanes)
#pragma GCC unroll 4
    for (std::size_t r = 0; r < n; ++r) {
      const auto* from = a + r * apart + i;
      prefetch<Isa>(from, 4 * kLanes * sizeof(*a));
      Floats weights[4];
      Read::load_four(from, weights);
#pragma GCC unroll 4
      for (std::size_t j = 0; j < 4; ++j)
        sums[r][j] = multiply_add(weights[j], Floats::load_unaligned(b + i + j * kLanes), sums[r][j]);
    }
  for (std::size_t r = 0; r < n; ++r)
    out[r * stride] = finish_float_product<Isa, Read>(a + r * apart, b, i, cols, sums[r]);
}

template <class Isa, class Read>
inline void float_row_products(const std::byte* w, std::size_t rows, std::size_t cols, const Activation& x,
                               float* out) noexcept {
  using Element = typename Read::Element;
  const auto product = [&]<std::size_t n>(const Element* first, std::size_t apart, float* to, std::size_t stride)
      __attribute__((always_inline)) {
    float_product<Isa, Read, n>(first, apart, cols, x.exact, to, stride);
  };
  multiply_in_streams<Isa, kFloatStreams<Isa>, Element>(w, rows, cols, out, product);
}

// Sixteen codes of an activation to where they belong; `to_bytes` as Quantised has them.
template <class Isa, bool to_bytes>
[[gnu::always_inline]] inline void store_codes(const Int16x16<Isa>& codes, std::size_t at,
                                               const Quantised& out) noexcept {
  if constexpr (to_bytes)
    store_as_bytes<Isa>(codes, out.bytes + place_of_high_byte(at), out.bias + place_of_bias(at));
  else
    store16(codes, out.q + at);
}

// x in groups of 32: q = round(x / scale), scale = max |x| / 32767.
template <class Isa, bool to_bytes>
inline void quantize_activation(const float* x, std::size_t n, const Quantised& out) noexcept {
  using Floats = narrow_vec<float, Isa>;
  using Ints = narrow_vec<std::int32_t, Isa>;
  for (std::size_t g = 0; g < n / kGroup; ++g, x += kGroup) {
    Floats largest(0.0f);
    for (std::size_t i = 0; i < kGroup; i += Floats::size)
      largest = xsimd::max(largest, xsimd::abs(Floats::load_unaligned(x + i)));
    const float peak = largest_lane(largest);
    out.scale[g] = peak / 32767.0f;
    const float inverse = peak > 0 ? 32767.0f / peak : 0.0f;
    for (std::size_t h = 0; h < 2; ++h) {
      const Int16x16<Isa> codes = round_to_int16<Isa>(x + kHalfGroup * h, inverse);
      store_codes<Isa, to_bytes>(codes, kGroup * g + kHalfGroup * h, out);
      const auto total = sum_of(dot<Isa>(Ints(0), codes, all16<Isa>(1)));
      out.half_sum[2 * g + h] = out.scale[g] * static_cast<float>(total);
    }
    out.sum[g] = out.half_sum[2 * g] + out.half_sum[2 * g + 1];
  }
  if constexpr (to_bytes)
    for (std::size_t i = n; i < quads(n) * kQuad; i += kHalfGroup) store_codes<Isa, to_bytes>(all16<Isa>(0), i, out);
}

}  // namespace carat::cpu
