// Weights back to f32, for embeddings and for products with many tokens.
#pragma once
#include "kernels/cpu/row_product.h"

namespace carat::cpu {

template <class Isa, class Block, std::size_t units>
[[gnu::always_inline]] inline void unpack_units(const Block* w, float* out) noexcept {
  using Read = Reader<Isa, Block>;
  using Floats = narrow_vec<float, Isa>;
  constexpr std::size_t kPerUnit = 32 / Read::kScaleElements;
  alignas(64) float scales[units * kPerUnit], minima[units * kPerUnit];
  Read::template scales<units>(w, scales);
  if constexpr (Read::kHasMinimum) Read::template minima<units>(w, minima);

  const auto unpack_unit = [&]<std::size_t unit>() __attribute__((always_inline)) {
    const Codes<Isa> codes = Read::template codes<unit>(w);
    for (std::size_t h = 0; h < 2; ++h) {
      const std::size_t s = kPerUnit == 1 ? unit : 2 * unit + h;
      for (std::size_t i = 0; i < 16 / Floats::size; ++i) {
        Floats value = to_float<Isa>(codes.half[h], i) * Floats(scales[s]);  // rounds twice, as the formats define
        if constexpr (Read::kHasMinimum) value = value + Floats(minima[s]);
        value.store_unaligned(out + 32 * unit + 16 * h + i * Floats::size);
      }
    }
  };
  [&]<std::size_t... unit>(std::index_sequence<unit...>) __attribute__((always_inline)) {
    (unpack_unit.template operator()<unit>(), ...);
  }
  (std::make_index_sequence<units>{});
}

template <class Isa, class Block>
inline void unpack_blocks(const std::byte* from, float* out, std::size_t n) noexcept {
  constexpr std::size_t kBlocks = 256 / Reader<Isa, Block>::kElements;
  const auto* w = reinterpret_cast<const Block*>(from);
  std::size_t i = 0;
  for (; i + 256 <= n; i += 256, w += kBlocks) unpack_units<Isa, Block, 8>(w, out + i);
  if constexpr (kBlocks == 8)
    for (; i < n; i += 32, ++w) unpack_units<Isa, Block, 1>(w, out + i);
}

template <class Isa, class Read>
inline void unpack_floats(const std::byte* from, float* out, std::size_t n) noexcept {
  constexpr std::size_t kLanes = vec<float, Isa>::size;
  const auto* w = reinterpret_cast<const typename Read::Element*>(from);
  std::size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    vec<float, Isa> four[4];
    Read::load_four(w + i, four);
    for (std::size_t j = 0; j < 4; ++j) four[j].store_unaligned(out + i + j * kLanes);
  }
  for (; i + kLanes <= n; i += kLanes) Read::load(w + i).store_unaligned(out + i);
  for (; i < n; ++i) out[i] = Read::value(w[i]);
}

}  // namespace carat::cpu
