// Quantised weights times many tokens, as integers: codes and activations meet in pairs of int16, a block of 32 of them
// is summed in int32, and only the sum is scaled. Twice the products of f32 in an instruction.
#pragma once
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/readers.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/unpack.h"

namespace carat::cpu {

inline constexpr std::size_t kCodeDepth = 256;  // of a slice: its weights and one tile stay in the first-level cache
inline constexpr std::size_t kCodeBlocks = kCodeDepth / kGroup;
inline constexpr std::size_t kCodeStride = kCodeDepth + 32;  // of a row: 512 bytes apart, rows would share few sets
inline constexpr std::size_t kMinimaStride = 2 * kCodeBlocks;

// Activations keep 14 bits and the sign here: 32 products with codes of 13 bits (q6_k's six, times a scale of eight, or
// sfp's) then fit int32, whatever a file holds.
inline constexpr float kPackedPeak = 16383.0f;
static_assert(32.0 * (32 * 128) * static_cast<double>(kPackedPeak) < 0x1p31);

template <class Isa>
inline constexpr std::size_t kPackedTokens = Isa::code_columns* vec<float, Isa>::size;

// One packed tile, element [i, token] at i * kPackedTokens + token: pairs of codes that are neighbours in depth, a
// scale of each 32 and a sum, scaled, of each 16.
struct CodeTile {
  std::int32_t* pairs;  // [depth / 2, tokens]
  float* scales;        // [depth / 32, tokens]
  float* half_sums;     // [depth / 16, tokens]
};
template <class Isa>
inline CodeTile code_tile(float* packed, std::size_t depth) noexcept {
  float* scales = packed + depth / 2 * kPackedTokens<Isa>;
  return {reinterpret_cast<std::int32_t*>(packed), scales, scales + depth / kGroup * kPackedTokens<Isa>};
}
// The part of it from element `k`, a multiple of 32, and column `token` on.
template <class Isa>
inline CodeTile part(const CodeTile& x, std::size_t k, std::size_t token) noexcept {
  constexpr std::size_t kTile = kPackedTokens<Isa>;
  return {x.pairs + k / 2 * kTile + token, x.scales + k / kGroup * kTile + token,
          x.half_sums + k / kHalfGroup * kTile + token};
}

// 32 elements of a register of tokens, one token a lane, into a tile.
template <class Isa>
inline void pack_group(const vec<float, Isa> (&x)[kGroup], const CodeTile& out) noexcept {
  using Floats = vec<float, Isa>;
  using Ints = vec<std::int32_t, Isa>;
  constexpr std::size_t kTile = kPackedTokens<Isa>;
  Floats peak(0.0f);
  for (std::size_t i = 0; i < kGroup; ++i) peak = xsimd::max(peak, xsimd::abs(x[i]));
  const Floats scale = peak * Floats(1 / kPackedPeak);
  const Floats inverse = xsimd::select(peak > Floats(0.0f), Floats(kPackedPeak) / peak, Floats(0.0f));
  scale.store_unaligned(out.scales);
  for (std::size_t half = 0; half < 2; ++half) {
    Ints sum(0);
    for (std::size_t i = half * kHalfGroup; i < (half + 1) * kHalfGroup; i += 2) {
      const Ints even = round_to_int(x[i] * inverse), odd = round_to_int(x[i + 1] * inverse);
      ((even & Ints(0xFFFF)) | (odd << 16)).store_unaligned(out.pairs + i / 2 * kTile);
      sum = sum + even + odd;
    }
    (scale * xsimd::to_float(sum)).store_unaligned(out.half_sums + half * kTile);
  }
}

template <class Isa>
inline void pack_codes(const float* x, std::size_t tokens, std::size_t cols, float* packed) noexcept {
  using Floats = vec<float, Isa>;
  constexpr std::size_t kLanes = Floats::size;
  const CodeTile tile = code_tile<Isa>(packed, cols);
  for (std::size_t t = 0; t < tokens; t += kLanes)  // registers without a token are never read
    for (std::size_t k = 0; k < cols; k += kGroup) {
      alignas(64) float columns[kGroup][kLanes] = {};
      for (std::size_t i = 0; i < kLanes && t + i < tokens; ++i)
        for (std::size_t j = 0; j < kGroup; ++j) columns[j][i] = x[(t + i) * cols + k + j];
      Floats group[kGroup];
      for (std::size_t j = 0; j < kGroup; ++j) group[j] = Floats::load_aligned(columns[j]);
      pack_group<Isa>(group, part<Isa>(tile, k, t));
    }
}

// `units` units of weights. Where sixteen elements share a scale, that is an integer times the block's own, and the
// codes take it in: then 32 share one here too.
template <class Isa, class Block, std::size_t units>
[[gnu::always_inline]] inline void unpack_units_to_codes(const Block* w, std::int16_t* codes, float* scales,
                                                         float* minima) noexcept {
  using Read = Reader<Isa, Block>;
  constexpr bool kTakeScalesIn = Read::kScaleElements == kHalfGroup;
  alignas(64) std::int16_t factors[kTakeScalesIn ? 16 : 1];
  if constexpr (kTakeScalesIn) {
    store16(Read::integer_scales(w), factors);
    for (std::size_t unit = 0; unit < units; ++unit) scales[unit] = half_value<Isa>(w->d);
  } else {
    Read::template scales<units>(w, scales);
  }
  if constexpr (Read::kHasMinimum) Read::template minima<units>(w, minima);
  const auto unpack_unit = [&]<std::size_t unit>() __attribute__((always_inline)) {
    const Codes<Isa> unpacked = Read::template codes<unit>(w);
    for (std::size_t h = 0; h < 2; ++h) {
      std::int16_t* to = codes + kGroup * unit + kHalfGroup * h;
      if constexpr (kTakeScalesIn)
        store16(unpacked.half[h] * factors[2 * unit + h], to);
      else
        store16(unpacked.half[h], to);
    }
  };
  [&]<std::size_t... unit>(std::index_sequence<unit...>) __attribute__((always_inline)) {
    (unpack_unit.template operator()<unit>(), ...);
  }
  (std::make_index_sequence<units>{});
}

// One row of a slice: `depth` <= kCodeDepth elements.
template <class Isa, class Block>
inline void unpack_codes(const std::byte* from, std::size_t depth, std::int16_t* codes, float* scales,
                         float* minima) noexcept {
  const auto* w = reinterpret_cast<const Block*>(from);
  if (depth == kCodeDepth) return unpack_units_to_codes<Isa, Block, kCodeBlocks>(w, codes, scales, minima);
  if constexpr (Reader<Isa, Block>::kElements == kGroup)
    for (std::size_t b = 0; b < depth / kGroup; ++b)
      unpack_units_to_codes<Isa, Block, 1>(w + b, codes + kGroup * b, scales + b, minima + b);
}

// Weights of few bits in floating point, in units of 2^-11 of the power of two of each block's largest. Of sfp, which
// has 3 bits of mantissa at most, all down to 2^-8 of that are exact, and no other is off by more than half a unit.
template <class Isa, class Read>
inline void unpack_floats_to_codes(const std::byte* from, std::size_t depth, std::int16_t* codes, float* scales,
                                   float*) noexcept {
  using Floats = narrow_vec<float, Isa>;
  alignas(64) float x[kCodeDepth];
  unpack_floats<Isa, Read>(from, x, depth);
  for (std::size_t b = 0; b < depth / kGroup; ++b) {
    const float* block = x + kGroup * b;
    Floats largest(0.0f);
    for (std::size_t i = 0; i < kGroup; i += Floats::size)
      largest = xsimd::max(largest, xsimd::abs(Floats::load_aligned(block + i)));
    constexpr std::uint32_t kExponent = 0x7F800000, kUnit = 11u << 23;
    const std::uint32_t power = __builtin_bit_cast(std::uint32_t, largest_lane(largest)) & kExponent;
    const bool zeros = power == 0;
    scales[b] = zeros ? 0.0f : __builtin_bit_cast(float, power - kUnit);
    const float inverse = zeros ? 0.0f : __builtin_bit_cast(float, (254u << 23) - (power - kUnit));
    for (std::size_t h = 0; h < 2; ++h)
      store16(round_to_int16<Isa>(block + kHalfGroup * h, inverse), codes + kGroup * b + kHalfGroup * h);
  }
}

template <class Isa, class Block>
constexpr CodeFormat code_format() noexcept {
  using Read = Reader<Isa, Block>;
  return {unpack_codes<Isa, Block>, Read::kHasMinimum ? kGroup / Read::kScaleElements : 0};
}

// Rows of an unpacked slice.
struct CodeSlab {
  std::int16_t* codes;           // [rows, kCodeStride]
  float* scales;                 // [rows, kCodeBlocks]
  float* minima;                 // [rows, kMinimaStride]
  std::size_t minima_per_block;  // 0, 1 or 2
};
inline constexpr std::size_t kCodeSlabFloats = kSlabRows * (kCodeStride / 2 + kCodeBlocks + kMinimaStride);
static_assert(kCodeSlabFloats <= kPanelRows * kPanelDepth);

// sums [rows, columns of tokens] (+)= w * x over `blocks` blocks. The float part of each sum is one chain over the
// depth, so it does not depend on how rows and tokens are cut.
template <class Isa, std::size_t rows, std::size_t columns>
inline void multiply_codes(const CodeSlab& w, const CodeTile& x, std::size_t blocks, float* sums, bool first) noexcept {
  using Floats = vec<float, Isa>;
  using Ints = vec<std::int32_t, Isa>;
  using Register = IntRegister<Isa>;
  constexpr std::size_t kLanes = Floats::size, kTile = kPackedTokens<Isa>;
  Floats sum[rows][columns];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (std::size_t c = 0; c < columns; ++c)
      sum[r][c] = first ? Floats(0.0f) : Floats::load_unaligned(sums + r * kSumStride + c * kLanes);
  for (std::size_t b = 0; b < blocks; ++b) {
    Register products[rows][columns];
#pragma GCC unroll 12
    for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (std::size_t c = 0; c < columns; ++c) products[r][c] = Ints(0);
    const std::int16_t* codes = w.codes + b * kGroup;
    const std::int32_t* tokens = x.pairs + b * kGroup / 2 * kTile;
    for (int four = 0; four < 4; ++four, codes += 8, tokens += 4 * kTile) {
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        Register pairs[columns];
#pragma GCC unroll 4
        for (std::size_t c = 0; c < columns; ++c)
          pairs[c] = kept<Isa>(Ints::load_unaligned(tokens + k * kTile + c * kLanes));
#pragma GCC unroll 12
        for (std::size_t r = 0; r < rows; ++r) {
          const Register weight = pair_everywhere<typename Isa::wide>(codes + r * kCodeStride + 2 * k);
#pragma GCC unroll 4
          for (std::size_t c = 0; c < columns; ++c) products[r][c] = add_pairs<Isa>(products[r][c], weight, pairs[c]);
        }
      }
    }
#pragma GCC unroll 4
    for (std::size_t c = 0; c < columns; ++c) {
      const Floats scale = Floats::load_unaligned(x.scales + b * kTile + c * kLanes);
#pragma GCC unroll 12
      for (std::size_t r = 0; r < rows; ++r)
        sum[r][c] = multiply_add(xsimd::to_float(Ints(products[r][c])) * scale, Floats(w.scales[r * kCodeBlocks + b]),
                                 sum[r][c]);
    }
    for (std::size_t m = 0; m < w.minima_per_block; ++m) {
#pragma GCC unroll 4
      for (std::size_t c = 0; c < columns; ++c) {
        const float* halves = x.half_sums + 2 * b * kTile + c * kLanes;
        const Floats of = w.minima_per_block == 2
                              ? Floats::load_unaligned(halves + m * kTile)
                              : Floats::load_unaligned(halves) + Floats::load_unaligned(halves + kTile);
#pragma GCC unroll 12
        for (std::size_t r = 0; r < rows; ++r)
          sum[r][c] = multiply_add(Floats(w.minima[r * kMinimaStride + b * w.minima_per_block + m]), of, sum[r][c]);
      }
    }
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (std::size_t c = 0; c < columns; ++c) sum[r][c].store_unaligned(sums + r * kSumStride + c * kLanes);
}

// The same for any number of rows and up to kPackedTokens tokens. Meanwhile the pairs at `next`, as many as those of x,
// are brought near: all packed tokens together are more than the second-level cache holds.
template <class Isa, std::size_t columns = Isa::code_columns>
inline void multiply_code_rows(const CodeSlab& w, std::size_t rows, const CodeTile& x, std::size_t tokens,
                               std::size_t blocks, float* sums, bool first, const std::int32_t* next) noexcept {
  if constexpr (columns > 1)
    if (tokens <= (columns - 1) * vec<float, Isa>::size)
      return multiply_code_rows<Isa, columns - 1>(w, rows, x, tokens, blocks, sums, first, next);
  constexpr std::size_t kRows = Isa::code_sums / columns;
  const auto from = [&w](std::size_t r) {
    return CodeSlab{w.codes + r * kCodeStride, w.scales + r * kCodeBlocks, w.minima + r * kMinimaStride,
                    w.minima_per_block};
  };
  const std::size_t next_bytes = blocks * kGroup / 2 * kPackedTokens<Isa> * sizeof(*next);
  const std::size_t share = rows < kRows ? 0 : (next_bytes / (rows / kRows) + 63) / 64 * 64;
  const char* ahead = reinterpret_cast<const char*>(next);
  std::size_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    for (std::size_t i = 0; i < share; i += 64) __builtin_prefetch(ahead + i, 0, 2);
    ahead += share;
    multiply_codes<Isa, kRows, columns>(from(r), x, blocks, sums + r * kSumStride, first);
  }
  for (; r < rows; ++r) multiply_codes<Isa, 1, columns>(from(r), x, blocks, sums + r * kSumStride, first);
}

// Unpacks the slice of the slab from depth k on, and asks for the bytes of the slice, or slab, that comes next.
template <class Isa>
inline void unpack_code_slice(const Panel& p, std::size_t k, std::size_t depth, const CodeSlab& out) noexcept {
  for (std::size_t r = 0; r < p.rows; ++r) {
    const std::byte* row = p.w + r * p.row_bytes;
    const std::byte* next = k + depth == p.cols ? row + p.rows * p.row_bytes : row + (k / 256 + 1) * p.bytes_per_256;
    for (std::size_t i = 0; i < p.bytes_per_256; i += 64) __builtin_prefetch(next + i);
    p.codes.unpack(row + k / 256 * p.bytes_per_256, depth, out.codes + r * kCodeStride, out.scales + r * kCodeBlocks,
                   out.minima + r * kMinimaStride);
  }
}

// sums [rows, kSumStride] = the slab times every token.
template <class Isa>
inline void sum_codes(const Panel& p, float* sums) noexcept {
  constexpr std::size_t kTile = kPackedTokens<Isa>;
  float* scales = p.scratch + kSlabRows * kCodeStride / 2;
  const CodeSlab w{reinterpret_cast<std::int16_t*>(p.scratch), scales, scales + kSlabRows * kCodeBlocks,
                   p.codes.minima_per_block};
  for (std::size_t k = 0; k < p.cols; k += kCodeDepth) {
    const std::size_t depth = p.cols - k < kCodeDepth ? p.cols - k : kCodeDepth;
    unpack_code_slice<Isa>(p, k, depth, w);
    const auto tile = [&](std::size_t t, std::size_t from) {
      return part<Isa>(code_tile<Isa>(const_cast<float*>(p.packed) + t * p.cols, p.cols), from, 0);
    };
    for (std::size_t t = 0; t < p.tokens; t += kTile) {
      const auto* next = t + kTile < p.tokens ? tile(t + kTile, k).pairs : tile(0, (k + depth) % p.cols).pairs;
      multiply_code_rows<Isa>(w, p.rows, tile(t, k), p.tokens - t, depth / kGroup, sums + t, k == 0, next);
    }
  }
}

}  // namespace carat::cpu
