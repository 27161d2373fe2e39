// What the kernels are given, and the launches that the backend is made of. Sizes are those of one step: they fit.
#pragma once
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/layout.h"
#include "kernels/gate.h"

namespace carat::cuda {

// A matrix as adopt_weight() laid it out.
struct Weight {
  const std::uint8_t* at;
  std::size_t row_bytes, rest_at;
  float scale;
  std::uint32_t rows, cols;
};

inline Weight weight_of(const Tensor& w) {
  return {
      static_cast<const std::uint8_t*>(w.where), device_row_bytes(w.dtype, w.cols), rest_at(w.dtype, w.cols), w.scale,
      static_cast<std::uint32_t>(w.rows),        static_cast<std::uint32_t>(w.cols)};
}

// out[i] = table[ids[i]] * scale
struct Embed {
  Weight table;
  const std::int32_t* ids;
  float* out;
  float scale;
};
Launch embed(DType, std::uint32_t tokens, const Embed&);

// Products of few tokens, by rows of up to three weights of one type.
inline constexpr std::uint32_t kProducts = 3;
struct ProductOf {
  Weight w;
  float* out;  // [tokens, w.rows]
};
struct RowProducts {
  const float* x;  // [tokens, cols]
  std::uint32_t tokens, products;
  std::uint32_t groups;  // of rows, of all products
  std::uint32_t split;   // warps that share the depth of a group of rows
  ProductOf of[kProducts];
};
// `processors`: how many the device has; they share the rows.
Launch multiply_rows(DType, std::uint32_t processors, RowProducts);

// Tokens in half precision, each times a power of two that makes the most of it.
struct Pack {
  const float* x;         // [tokens, cols]
  std::uint16_t* packed;  // [tokens, depth]
  float* factor;          // [tokens]: what the packed values are to be multiplied by
  std::uint32_t cols, depth;
};
std::uint32_t packed_depth(std::size_t cols);
Launch pack(std::uint32_t tokens, const Pack&);

// Products of many tokens, by tiles: out [tokens, w.rows].
struct PanelProduct {
  Weight w;
  const std::uint16_t* packed;
  const float* factor;
  float* out;
  std::uint32_t tokens, depth;
};
Launch multiply_panel(DType, const PanelProduct&);

struct RmsNorm {
  float* out;
  const float *x, *gain;
  std::uint32_t cols;  // of a chunk
  float eps;
};
Launch rms_norm(std::uint32_t chunks, const RmsNorm&);

// x [count] += y, again and again from its beginning every `period`.
struct Add {
  float* x;
  const float* y;
  std::uint64_t count, period;
};
Launch add(const Add&);

// x [count] = act(x) * up.
struct GateBy {
  float* x;
  const float* up;
  std::uint64_t count;
  Gate act;
};
Launch gate(const GateBy&);

struct SoftCap {
  float* x;
  std::uint64_t count;
  float cap;
};
Launch soft_cap(const SoftCap&);

// out[i] = x[rows[i]]
struct Gather {
  float* out;
  const float* x;
  const std::int32_t* rows;
  std::uint32_t cols;
};
Launch gather(std::uint32_t rows, const Gather&);

struct Rotations {
  float* out;  // [tokens, 2 * pairs]
  const float* frequencies;
  const std::int32_t* position;
  std::uint32_t pairs;
};
Launch rotations(std::uint32_t tokens, const Rotations&);

struct Rope {
  float* x;                // [tokens, heads * head_dim]
  const float* rotations;  // [tokens, 2 * pairs]
  std::uint32_t heads, head_dim, pairs;
  bool adjacent;
};
Launch rope(std::uint32_t tokens, const Rope&);

// One side of a cache: rows as in a file.
struct CacheSide {
  std::uint8_t* at;
  std::size_t row_bytes;
  DType dtype;
};

struct Store {
  CacheSide k, v;
  const float *from_k, *from_v;  // [tokens, cols]
  const std::int32_t *sequence, *position;
  std::uint32_t slots, cols;
};
Launch store(std::uint32_t tokens, const Store&);

// Attention of single tokens: the positions that each sees are cut into segments, each with a softmax of its own.
inline constexpr std::uint32_t kMaxHeadDim = 512;
struct Softmax {
  float largest, sum;
};
struct Attend {
  CacheSide k, v;
  const float* q;  // [tokens, heads * head_dim]
  const std::int32_t *sequence, *position;
  float* partial;    // [tokens, heads, segments, head_dim]
  Softmax* softmax;  // [tokens, heads, segments]
  std::uint32_t slots, heads, kv_heads, head_dim, window, segments;
  float scale, soft_cap;
};
Launch attend(std::uint32_t tokens, const Attend&);

// The segments of each head, brought to one maximum, summed and divided.
struct Merge {
  const float* partial;
  const Softmax* softmax;
  float* out;  // [tokens, heads * head_dim]
  std::uint32_t heads, head_dim, segments;
};
Launch merge(std::uint32_t tokens, const Merge&);

// Attention of many tokens of one sequence, at consecutive positions, in tiles of half precision.
inline constexpr std::uint32_t kMaxTileHeadDim = 256;
struct AttendTiles {
  CacheSide k, v;
  const float* q;          // [tokens, heads * head_dim]
  float* out;              // likewise
  std::size_t first_slot;  // of the sequence
  std::uint32_t tokens, position, slots, heads, kv_heads, head_dim, window;
  float scale, soft_cap;
};
Launch attend_tiles(const AttendTiles&);

}  // namespace carat::cuda
