// The seam between instruction sets and everything else: one row of functions per instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/dtype.h"

namespace carat::cpu {

// Elements that share one scale in a quantised activation row, and elements that share one sum.
inline constexpr std::size_t kGroup = 32;
inline constexpr std::size_t kHalfGroup = 16;

// One row of activations, as the row products read it. Weights are of low precision, activations need not be: they
// are kept as int16 with a scale per 32, so a product of a quantised row is exact to 2^-15 of the group's largest
// element, and weights widen to int16 as cheaply as to int8. Weights in floating point use `exact`.
struct Activation {
  const float* exact = nullptr;     // [cols]
  const std::int16_t* q = nullptr;  // [cols]
  const float* scale = nullptr;     // [cols / 32]
  const float* sum = nullptr;       // [cols / 32], of scale * q
  const float* half_sum = nullptr;  // [cols / 16], likewise
};

// Weights times many tokens goes by panels: a slab of rows is unpacked to f32 once, a slice of the depth at a time,
// and multiplied with all tokens. The slab and the slice fit the second-level cache together.
inline constexpr std::size_t kPanelRows = 48;
inline constexpr std::size_t kPanelDepth = 512;   // a multiple of every block size
inline constexpr std::size_t kPanelTokens = 512;  // tokens per pass

struct Panel {
  const std::byte* w = nullptr;  // first row of the slab
  void (*unpack)(const std::byte* w, float* out, std::size_t n) noexcept = nullptr;
  std::size_t row_bytes = 0, slice_bytes = 0;  // of a row of `cols` and of kPanelDepth elements
  std::size_t rows = 0;                        // <= kPanelRows
  std::size_t cols = 0;
  const float* packed = nullptr;  // pack_tile's tiles, back to back: [tiles, cols, tile_tokens]
  std::size_t tokens = 0;         // <= kPanelTokens
  float* out = nullptr;           // [tokens, stride], first column of the slab
  std::size_t stride = 0;
  float* scratch = nullptr;  // kPanelScratch floats
};
// The unpacked slab, and the running sums of [kPanelRows, kPanelTokens].
inline constexpr std::size_t kPanelScratch = kPanelRows * (kPanelDepth + kPanelTokens);

// Attention of one query head over positions [first, last] of a ring of `slots` rows, f16, `stride` elements apart.
struct Attention {
  const float* q = nullptr;  // [head_dim]
  const std::uint16_t* k = nullptr;
  const std::uint16_t* v = nullptr;
  std::size_t stride = 0, slots = 0;
  std::size_t first = 0, last = 0;
  std::size_t head_dim = 0;
  float scale = 0, soft_cap = 0;
  float* out = nullptr;  // [head_dim]
};

// How far y is from x: sums of squares, of x and of x - y, and the largest |x - y|.
struct Difference {
  float squares = 0, misses = 0, worst = 0;
};

struct Table {
  const char* name;

  // Rows of weights times one token: out[r] = w[r] · x.
  void (*row_products[kDTypeCount])(const std::byte* w, std::size_t rows, std::size_t cols, const Activation& x,
                                    float* out) noexcept;
  void (*dequantize[kDTypeCount])(const std::byte* w, float* out, std::size_t n) noexcept;
  // Fills the quantised parts of an Activation; n is a multiple of 32.
  void (*quantize_activation)(const float* x, std::size_t n, std::int16_t* q, float* scale, float* sum,
                              float* half_sum) noexcept;

  std::size_t tile_tokens;  // tokens per packed tile
  // [tokens <= tile_tokens, cols] -> [cols, tile_tokens], missing tokens as zeros.
  void (*pack_tile)(const float* x, std::size_t tokens, std::size_t cols, float* out) noexcept;
  void (*panel_product)(const Panel&) noexcept;

  void (*rms_norm)(float* out, const float* x, const float* gain, std::size_t n, float eps) noexcept;
  void (*add)(float* x, const float* y, std::size_t n) noexcept;
  void (*silu_gate)(float* x, const float* up, std::size_t n) noexcept;
  void (*gelu_gate)(float* x, const float* up, std::size_t n) noexcept;
  void (*soft_cap)(float* x, std::size_t n, float cap) noexcept;
  void (*scale)(float* x, std::size_t n, float factor) noexcept;
  // Rotates one head; rotations are `pairs` pairs (cos, sin).
  void (*rope_adjacent)(float* x, const float* rotations, std::size_t pairs) noexcept;
  void (*rope_halves)(float* x, const float* rotations, std::size_t pairs) noexcept;
  void (*to_half)(const float* x, std::uint16_t* out, std::size_t n) noexcept;
  void (*attend)(const Attention&) noexcept;

  // Encodes n elements, a multiple of the type's block, to the bytes of its codec. Null where the codec itself is as
  // good: see `encoder`.
  void (*quantize[kDTypeCount])(const float* x, std::byte* w, std::size_t n) noexcept;
  // The sums are in single precision: for a few thousand elements at a time.
  Difference (*compare)(const float* x, const float* y, std::size_t n) noexcept;
};

extern const Table kReference, kBaseline, kAvx2, kAvx512Vnni;

// The fastest encoder there is on the instruction set of `table`.
inline auto encoder(const Table& table, DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  return table.quantize[index] != nullptr ? table.quantize[index] : kReference.quantize[index];
}

}  // namespace carat::cpu
