// Weights times many tokens (prefill): a slab of rows is unpacked once and meets every token while it is in cache.
#pragma once
#include "kernels/cpu/code_panel.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/unpack.h"

namespace carat::cpu {

template <class Isa>
inline constexpr std::size_t kTileTokens = 2 * vec<float, Isa>::size;

template <class Isa>
inline void pack_tile(const float* x, std::size_t tokens, std::size_t cols, float* out) noexcept {
  constexpr std::size_t kTile = kPackedTokens<Isa>;
  for (std::size_t t = 0; t < kTile; ++t)
    for (std::size_t k = 0; k < cols; ++k) out[k * kTile + t] = t < tokens ? x[t * cols + k] : 0.0f;
}

// sums [rows, kTileTokens] (+)= a [rows, depth] * tile [depth, kTileTokens], each with its stride; `first`: the sums
// begin at zero. Each sum is one chain over the depth, so it does not depend on how rows and tokens are cut.
template <class Isa, std::size_t rows>
inline void multiply_tile(const float* a, std::size_t a_stride, const float* tile, std::size_t tile_stride,
                          std::size_t depth, float* sums, std::size_t sums_stride, bool first) noexcept {
  using Floats = vec<float, Isa>;
  Floats sum[rows][2];
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < 2; ++i)
      sum[r][i] = first ? Floats(0.0f) : Floats::load_unaligned(sums + r * sums_stride + i * Floats::size);
  for (std::size_t k = 0; k < depth; ++k) {
    const Floats x0 = Floats::load_unaligned(tile + k * tile_stride);
    const Floats x1 = Floats::load_unaligned(tile + k * tile_stride + Floats::size);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < rows; ++r) {
      const Floats weight(a[r * a_stride + k]);
      sum[r][0] = multiply_add(weight, x0, sum[r][0]);
      sum[r][1] = multiply_add(weight, x1, sum[r][1]);
    }
  }
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < 2; ++i) sum[r][i].store_unaligned(sums + r * sums_stride + i * Floats::size);
}

// The same for any number of rows.
template <class Isa>
inline void multiply_rows(const float* a, std::size_t a_stride, std::size_t rows, const float* tile,
                          std::size_t tile_stride, std::size_t depth, float* sums, std::size_t sums_stride,
                          bool first) noexcept {
  std::size_t r = 0;
  for (; r + Isa::panel_rows <= rows; r += Isa::panel_rows)
    multiply_tile<Isa, Isa::panel_rows>(a + r * a_stride, a_stride, tile, tile_stride, depth, sums + r * sums_stride,
                                        sums_stride, first);
  for (; r < rows; ++r)
    multiply_tile<Isa, 1>(a + r * a_stride, a_stride, tile, tile_stride, depth, sums + r * sums_stride, sums_stride,
                          first);
}

// sums [rows <= kPanelRows, kSumStride] = the slab times every token, in f32.
template <class Isa>
inline void sum_floats(const Panel& p, float* sums) noexcept {
  constexpr std::size_t kPacked = kPackedTokens<Isa>, kTile = kTileTokens<Isa>;
  float* weights = p.scratch;
  for (std::size_t k = 0; k < p.cols; k += kPanelDepth) {
    const std::size_t depth = p.cols - k < kPanelDepth ? p.cols - k : kPanelDepth;
    for (std::size_t r = 0; r < p.rows; ++r)
      p.unpack(p.w + r * p.row_bytes + k / 256 * p.bytes_per_256, weights + r * kPanelDepth, depth);
    for (std::size_t t = 0; t < p.tokens; t += kTile) {
      const float* tile = p.packed + t / kPacked * kPacked * padded_depth(p.cols) + k * kPacked + t % kPacked;
      multiply_rows<Isa>(weights, kPanelDepth, p.rows, tile, kPacked, depth, sums + t, kSumStride, k == 0);
    }
  }
}

// The same for up to kSlabRows, by whichever arithmetic the weights have.
template <class Isa>
inline void sum_panel(Panel p, float* sums) noexcept {
  if (p.codes.unpack != nullptr) return sum_codes<Isa>(p, sums);
  for (std::size_t left = p.rows; left > 0; left -= p.rows) {
    p.rows = left < kPanelRows ? left : kPanelRows;
    sum_floats<Isa>(p, sums);
    p.w += p.rows * p.row_bytes;
    sums += p.rows * kSumStride;
  }
}

template <class Isa>
inline void multiply_panel(const Panel& p) noexcept {
  float* sums = p.scratch + kPanelRows * kPanelDepth;
  sum_panel<Isa>(p, sums);
  for (std::size_t t = 0; t < p.tokens; ++t)
    for (std::size_t r = 0; r < p.rows; ++r) p.out[t * p.stride + r] = sums[r * kSumStride + t];
}

// Rows of the slab are columns of the next product's input: its tiles want just the order the sums have.
template <class Isa>
inline void multiply_gated_panel(const GatedPanel& p) noexcept {
  using Floats = vec<float, Isa>;
  constexpr std::size_t kTile = kPackedTokens<Isa>;
  float* gate = p.gate.scratch + kPanelRows * kPanelDepth;
  float* up = gate + kSlabRows * kSumStride;
  sum_panel<Isa>(p.gate, gate);
  sum_panel<Isa>(p.up, up);
  const auto hidden = [&](std::size_t r, std::size_t t) __attribute__((always_inline)) {
    const std::size_t at = r * kSumStride + t;
    const Floats g = Floats(p.gate.scale) * Floats::load_unaligned(gate + at);
    return gated<Isa>(p.act, g, Floats(p.up.scale) * Floats::load_unaligned(up + at));
  };
  for (std::size_t t = 0; t < p.gate.tokens; t += Floats::size) {
    const std::size_t column = t % kTile;
    float* tile = p.packed_out + (t - column) * padded_depth(p.hidden);
    if (p.out_in_codes) {
      const CodeTile codes = code_tile<Isa>(tile, p.hidden);
      for (std::size_t r = 0; r < p.gate.rows; r += kGroup) {
        Floats group[kGroup];
        for (std::size_t i = 0; i < kGroup; ++i) group[i] = hidden(r + i, t);
        pack_group<Isa>(group, part<Isa>(codes, p.first + r, column));
      }
    } else {
      for (std::size_t r = 0; r < p.gate.rows; ++r) hidden(r, t).store_unaligned(tile + (p.first + r) * kTile + column);
    }
  }
}

// What an instruction set does about panels on matrix tiles: nothing, but for those that have them.
template <class Isa>
struct TilePanels {
  template <class Block>
  static constexpr UnpackTiles blocks = nullptr;
  template <class Read>
  static constexpr UnpackTiles floats = nullptr;
  static constexpr void replace_panels(Table&) noexcept {}
};

}  // namespace carat::cpu
