// The seam between instruction sets and everything else: one row of functions per instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/gate.h"

namespace carat::cpu {

// Elements that share one scale in a quantised activation row, and elements that share one sum.
inline constexpr std::size_t kGroup = 32;
inline constexpr std::size_t kHalfGroup = 16;

// One row of activations, as the row products read it. Weights are of low precision, activations need not be: they
// are kept as int16 with a scale per 32, so a product of a quantised row is exact to 2^-15 of the group's largest
// element, and weights widen to int16 as cheaply as to int8. Weights in floating point use `exact`.
struct Together;
struct Activation {
  const float* exact = nullptr;        // [cols]
  const std::int16_t* q = nullptr;     // [cols]
  const std::int8_t* bytes = nullptr;  // or, where Table::codes_in_bytes: [quads, 256], as place_of_high_byte says
  const std::int32_t* bias = nullptr;  // with them: [quads, 2, 16]: -128 times the sum of each four high bytes
  const float* scale = nullptr;        // [cols / 32]
  const float* sum = nullptr;          // [cols / 32], of scale * q
  const float* half_sum = nullptr;     // [cols / 16], likewise
  const Together* together = nullptr;  // of the first of a few tokens, where there is one: all of them
};

// Codes as bytes: of each 128, the last of them made up with zeros, the first sixteen of each 32 and then the second;
// of these the higher bytes, with their sign, and 64 bytes further the lower ones, without.
inline constexpr std::size_t kQuad = 4 * kGroup;
constexpr std::size_t quads(std::size_t cols) { return (cols + kQuad - 1) / kQuad; }
[[gnu::always_inline]] constexpr std::size_t place_of_high_byte(std::size_t i) {
  return i / kQuad * 256 + i % kGroup / kHalfGroup * 128 + i % kQuad / kGroup * kHalfGroup + i % kHalfGroup;
}

// Where the bias of code i and its three neighbours lies.
[[gnu::always_inline]] constexpr std::size_t place_of_bias(std::size_t i) {
  return i / kQuad * 32 + i % kGroup / kHalfGroup * 16 + i % kQuad / kGroup * 4 + i % kHalfGroup / 4;
}

// Where the quantised parts of an Activation go: either `q` or `bytes` and `bias`.
struct Quantised {
  std::int16_t* q = nullptr;
  std::int8_t* bytes = nullptr;
  std::int32_t* bias = nullptr;
  float *scale = nullptr, *sum = nullptr, *half_sum = nullptr;
};

inline constexpr std::size_t kFewTokens = 16;  // of few_rows, at most

// The quantised parts of a few tokens side by side, those that are missing as zeros.
struct Together {
  std::int8_t* bytes = nullptr;  // [cols / 4, 2, kFewTokens, 4]: four neighbouring codes of each, high bytes and low
  float* scale = nullptr;        // [cols / 32, kFewTokens]
  float* sum = nullptr;          // [cols / 32, kFewTokens]
  float* half_sum = nullptr;     // [cols / 16, kFewTokens]
  std::int32_t* high_sum = nullptr;  // [cols / 16, kFewTokens], of high bytes
};
// From how many on it pays to have them so: with fewer, lanes would stand empty.
inline constexpr std::size_t kLeastTogether = 10;

// Weights times many tokens goes by panels: a slab of rows is unpacked once, to integers or to f32, a slice of the
// depth at a time, and multiplied with all tokens. The slab and the slice fit the second-level cache together.
inline constexpr std::size_t kPanelRows = 48;     // rows of a slab in floating point or on tiles
inline constexpr std::size_t kSlabRows = 96;      // as integers, and gated: whole groups of the next product's input
inline constexpr std::size_t kPanelDepth = 512;   // a multiple of every block size
inline constexpr std::size_t kPanelTokens = 512;  // tokens per pass
inline constexpr std::size_t kSumStride = kPanelTokens + 16;  // of running sums: a power of two would crowd few sets

// The depth that packed activations are padded to, with zeros.
constexpr std::size_t padded_depth(std::size_t cols) { return (cols + 31) / 32 * 32; }

using UnpackFloats = void (*)(const std::byte* w, float* out, std::size_t n) noexcept;
// One row of `depth` weights into tiles of bf16 (amx.h); `fine` takes what bf16 leaves over of weights in floating
// point.
using UnpackTiles = void (*)(const std::byte* w, std::size_t depth, char* coarse, char* fine) noexcept;

// How rows of quantised weights become integers (code_panel.h): codes, a scale per 32 and minima.
struct CodeFormat {
  void (*unpack)(const std::byte* w, std::size_t depth, std::int16_t* codes, float* scales, float* minima) noexcept;
  std::size_t minima_per_block;  // of 32: 0, 1 or 2
};

struct Panel {
  const std::byte* w = nullptr;  // first row of the slab
  UnpackFloats unpack = nullptr;
  CodeFormat codes{};  // without `unpack`, the slab is multiplied in floating point
  UnpackTiles unpack_tiles = nullptr;
  bool exact = true;              // keep more of weights and tokens than bf16 does
  float scale = 1;                // of all weights; the caller's to apply, but for gated panels
  std::size_t row_bytes = 0;      // of a row of `cols`
  std::size_t bytes_per_256 = 0;  // of 256 elements of a row: slices begin at multiples of that
  std::size_t rows = 0;           // <= kSlabRows
  std::size_t cols = 0;
  const float* packed = nullptr;  // pack_tile's or, with codes, pack_codes' tiles, back to back
  std::size_t tokens = 0;         // <= kPanelTokens
  float* out = nullptr;           // [tokens, stride], first column of the slab
  std::size_t stride = 0;
  float* scratch = nullptr;  // kPanelScratch floats, 64-byte aligned
};

// The slab of two matrices at once, as the first half of a gated feed-forward network: act(gate) * up goes straight to
// where the product that follows will read it.
struct GatedPanel {
  Panel gate, up;  // `out` and `stride` unused; the same shape, tokens and scratch
  Gate act = Gate::silu;
  float* packed_out = nullptr;  // as pack_tile or pack_codes packs [tokens, hidden]
  bool out_in_codes = false;
  bool fine_too = true;               // the next product's weights are in floating point
  std::size_t hidden = 0, first = 0;  // columns of the input; the slab's first among them
};

// The unpacked slab, and two sets of running sums of [kSlabRows, kSumStride].
inline constexpr std::size_t kPanelScratch = kPanelRows * kPanelDepth + 2 * kSlabRows * kSumStride;

// One head of the rows of a cache: `bytes` of each, `stride` bytes apart; f32, f16, bf16 or q8_0.
struct CachedRows {
  const std::byte* at = nullptr;
  std::size_t bytes = 0, stride = 0;
  DType dtype = DType::f16;
};

// The cached keys and values of one head, in a ring of `slots` rows.
struct CachedHead {
  CachedRows k, v;
  std::size_t slots = 0;
  std::size_t head_dim = 0;
};

// The first position that a token sees, of a layer with a window (0 = all).
[[gnu::always_inline]] constexpr std::size_t first_seen(std::size_t position, std::size_t window) {
  return window > 0 && position + 1 > window ? position + 1 - window : 0;
}

// A softmax over some of the positions, not yet divided by its sum: parts of one query can be merged.
struct RunningSoftmax {
  float largest = -3.0e38f;
  float sum = 0;
};

// Attention of one token's `queries` heads, which share a cached head, over positions [first, last]: for decoding,
// where every key is used a few times only. `out` is the sum of exp(score - largest) * v.
struct Attention {
  CachedHead cached;
  const float* q = nullptr;  // [queries, head_dim]
  std::size_t queries = 0;
  std::size_t first = 0, last = 0;
  float scale = 0, soft_cap = 0;
  float* out = nullptr;               // [queries, head_dim]
  RunningSoftmax* softmax = nullptr;  // [queries]
};

// Attention of `tokens` tokens from `position` on, `queries` heads each, which share a cached head: for prompts.
inline constexpr std::size_t kAttentionRows = 48;  // tokens * queries, at most
inline constexpr std::size_t kKeyBlock = 64;
struct BlockAttention {
  CachedHead cached;
  const float* q = nullptr;  // [tokens, q_stride], `queries` heads side by side
  std::size_t q_stride = 0;
  std::size_t tokens = 0, queries = 0;
  std::size_t position = 0;  // of the first token
  std::size_t window = 0;    // 0 = all
  float scale = 0, soft_cap = 0;
  float* out = nullptr;  // as q, divided by the sum
  float* scratch = nullptr;
};
constexpr std::size_t attention_scratch(std::size_t head_dim) {
  // Queries and sums, keys and values of a block, scores; head_dim padded for whole registers.
  const std::size_t padded = (head_dim + 31) / 32 * 32;
  return 2 * kAttentionRows * padded + 2 * kKeyBlock * padded + kAttentionRows * kKeyBlock;
}

// How far y is from x: sums of squares, of x and of x - y, and the largest |x - y|.
struct Difference {
  float squares = 0, misses = 0, worst = 0;
};

// What an instruction set can do at most (kernels/probe.h).
struct ProbeRow {
  std::uint64_t (*read)(const std::byte* from, std::size_t n) noexcept;  // all bytes once; returns some sum of them
  std::uint64_t (*multiply)(std::size_t rounds) noexcept;                // likewise, of products in registers
  double operations;                                                     // of a round
  const char* product;                                                   // what is multiplied
};

struct Table {
  const char* name;

  // Rows of weights times one token: out[r] = w[r] · x.
  void (*row_products[kDTypeCount])(const std::byte* w, std::size_t rows, std::size_t cols, const Activation& x,
                                    float* out) noexcept;
  // The same times up to kFewTokens tokens, each weight read once: out[t * stride + r] = w[r] · x[t], with the very
  // bits that row_products gives each token alone.
  void (*few_rows[kDTypeCount])(const std::byte* w, std::size_t rows, std::size_t cols, const Activation* x,
                                std::size_t tokens, float* out, std::size_t stride) noexcept;
  // Fills groups [first, last) of 32 columns of `out`. Null where few_rows does not look at it.
  void (*bring_together)(const Activation* x, std::size_t tokens, std::size_t first, std::size_t last,
                         const Together& out) noexcept = nullptr;
  UnpackFloats dequantize[kDTypeCount];
  UnpackTiles unpack_tiles[kDTypeCount];  // null but for AMX
  CodeFormat codes[kDTypeCount];          // null for weights of many bits and where tiles are faster
  bool codes_in_bytes = false;            // of activations
  // Fills the quantised parts of an Activation; n is a multiple of 32.
  void (*quantize_activation)(const float* x, std::size_t n, const Quantised& out) noexcept;

  std::size_t tile_tokens;  // tokens per packed tile
  // [tokens <= tile_tokens, cols] -> tile_tokens * padded_depth(cols) floats, in whatever order the row's panel_product
  // wants; missing tokens as zeros.
  void (*pack_tile)(const float* x, std::size_t tokens, std::size_t cols, float* out) noexcept;
  // The same for weights that have `codes`; cols is a multiple of 32.
  void (*pack_codes)(const float* x, std::size_t tokens, std::size_t cols, float* out) noexcept;
  std::size_t slab_rows;  // of a panel, at most, and of a gated one
  void (*panel_product)(const Panel&) noexcept;
  void (*gated_panel)(const GatedPanel&) noexcept;

  void (*rms_norm)(float* out, const float* x, const float* gain, std::size_t n, float eps) noexcept;
  void (*add)(float* x, const float* y, std::size_t n) noexcept;
  void (*silu_gate)(float* x, const float* up, std::size_t n) noexcept;
  void (*gelu_gate)(float* x, const float* up, std::size_t n) noexcept;
  void (*soft_cap)(float* x, std::size_t n, float cap) noexcept;
  void (*scale)(float* x, std::size_t n, float factor) noexcept;
  // Rotates one head; rotations are `pairs` pairs (cos, sin).
  void (*rope_adjacent)(float* x, const float* rotations, std::size_t pairs) noexcept;
  void (*rope_halves)(float* x, const float* rotations, std::size_t pairs) noexcept;
  void (*attend)(const Attention&) noexcept;
  void (*attend_block)(const BlockAttention&) noexcept;

  // Encodes n elements, a multiple of the type's block, to the bytes of its codec. Null where the codec itself is as
  // good: see `encoder`.
  void (*quantize[kDTypeCount])(const float* x, std::byte* w, std::size_t n) noexcept;
  // The sums are in single precision: for a few thousand elements at a time.
  Difference (*compare)(const float* x, const float* y, std::size_t n) noexcept;

  ProbeRow probe;
};

extern const Table kReference, kBaseline, kAvx2, kAvx512Vnni, kAmx;

// The fastest encoder there is on the instruction set of `table`.
inline auto encoder(const Table& table, DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  return table.quantize[index] != nullptr ? table.quantize[index] : kReference.quantize[index];
}

}  // namespace carat::cpu
