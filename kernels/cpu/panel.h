// Weights times many tokens (prefill): a slab of rows is unpacked once and meets every token while it is in cache.
#pragma once
#include "kernels/cpu/table.h"
#include "kernels/cpu/unpack.h"

namespace carat::cpu {

template <class Isa>
inline constexpr std::size_t kTileTokens = 2 * vec<float, Isa>::size;

template <class Isa>
inline void pack_tile(const float* x, std::size_t tokens, std::size_t cols, float* out) noexcept {
  constexpr std::size_t kTile = kTileTokens<Isa>;
  for (std::size_t t = 0; t < kTile; ++t)
    for (std::size_t k = 0; k < cols; ++k) out[k * kTile + t] = t < tokens ? x[t * cols + k] : 0.0f;
}

// `rows` rows of unpacked weights, `w_stride` apart, times one tile over `depth`; added to `sums` unless `first`.
// Each sum is one chain over the depth, so it does not depend on how rows and tokens are cut.
template <class Isa, std::size_t rows>
inline void multiply_tile(const float* w, const float* tile, std::size_t depth, float* sums, bool first) noexcept {
  using Floats = vec<float, Isa>;
  constexpr std::size_t kTile = kTileTokens<Isa>;
  Floats sum[rows][2];
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < 2; ++i)
      sum[r][i] = first ? Floats(0.0f) : Floats::load_unaligned(sums + r * kPanelTokens + i * Floats::size);
  for (std::size_t k = 0; k < depth; ++k) {
    const Floats x0 = Floats::load_unaligned(tile + k * kTile);
    const Floats x1 = Floats::load_unaligned(tile + k * kTile + Floats::size);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < rows; ++r) {
      const Floats weight(w[r * kPanelDepth + k]);
      sum[r][0] = multiply_add(weight, x0, sum[r][0]);
      sum[r][1] = multiply_add(weight, x1, sum[r][1]);
    }
  }
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < 2; ++i) sum[r][i].store_unaligned(sums + r * kPanelTokens + i * Floats::size);
}

template <class Isa>
inline void multiply_panel(const Panel& p) noexcept {
  constexpr std::size_t kTile = kTileTokens<Isa>;
  float* weights = p.scratch;
  float* sums = p.scratch + kPanelRows * kPanelDepth;
  for (std::size_t k = 0; k < p.cols; k += kPanelDepth) {
    const std::size_t depth = p.cols - k < kPanelDepth ? p.cols - k : kPanelDepth;
    for (std::size_t r = 0; r < p.rows; ++r)
      p.unpack(p.w + r * p.row_bytes + k / kPanelDepth * p.slice_bytes, weights + r * kPanelDepth, depth);
    for (std::size_t t = 0; t < p.tokens; t += kTile) {
      const float* tile = p.packed + t * p.cols + k * kTile;
      std::size_t r = 0;
      for (; r + Isa::panel_rows <= p.rows; r += Isa::panel_rows)
        multiply_tile<Isa, Isa::panel_rows>(weights + r * kPanelDepth, tile, depth, sums + r * kPanelTokens + t,
                                            k == 0);
      for (; r < p.rows; ++r)
        multiply_tile<Isa, 1>(weights + r * kPanelDepth, tile, depth, sums + r * kPanelTokens + t, k == 0);
    }
  }
  for (std::size_t t = 0; t < p.tokens; ++t)
    for (std::size_t r = 0; r < p.rows; ++r) p.out[t * p.stride + r] = sums[r * kPanelTokens + t];
}

}  // namespace carat::cpu
