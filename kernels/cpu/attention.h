// Attention over a cache of halves, with a running softmax (Milakov & Gimelshein, 2018): positions are taken a block
// at a time, so no row of scores as long as the context is ever kept.
#pragma once
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/panel.h"

namespace carat::cpu {

inline constexpr float kNothing = -3.0e38f;  // a score that weighs nothing, and breaks no arithmetic

// scores -> exp(score - largest), with the sums so far brought to the same `largest`. Returns the factor for them.
template <class Isa>
inline float update(RunningSoftmax& so_far, float* scores) noexcept {
  using Floats = vec<float, Isa>;
  float largest = so_far.largest;
  for (std::size_t i = 0; i < kKeyBlock; ++i) largest = scores[i] > largest ? scores[i] : largest;
  Floats sums(0.0f);
  for (std::size_t i = 0; i < kKeyBlock; i += Floats::size) {
    const Floats e = xsimd::exp(Floats::load_unaligned(scores + i) - Floats(largest));
    e.store_unaligned(scores + i);
    sums = sums + e;
  }
  alignas(64) float shift[Floats::size];
  xsimd::exp(Floats(so_far.largest - largest)).store_aligned(shift);
  so_far.sum = so_far.sum * shift[0] + xsimd::hadd(sums);
  so_far.largest = largest;
  return shift[0];
}

// out = out * factor + sum of weights[i] * v[row(i)], a register or two of the head at a time.
template <class Isa, class Row>
inline void accumulate(float* out, float factor, const float* weights, std::size_t count, std::size_t head_dim,
                       Row row) noexcept {
  using Floats = vec<float, Isa>;
  std::size_t d = 0;
  for (; d + 2 * Floats::size <= head_dim; d += 2 * Floats::size) {
    Floats low = Floats::load_unaligned(out + d) * Floats(factor);
    Floats high = Floats::load_unaligned(out + d + Floats::size) * Floats(factor);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t* v = row(i) + d;
      low = multiply_add(Floats(weights[i]), load_half<typename Isa::wide>(v), low);
      high = multiply_add(Floats(weights[i]), load_half<typename Isa::wide>(v + Floats::size), high);
    }
    low.store_unaligned(out + d);
    high.store_unaligned(out + d + Floats::size);
  }
  for (; d < head_dim; ++d) {
    float total = out[d] * factor;
    for (std::size_t i = 0; i < count; ++i) total += weights[i] * half_value<Isa>(row(i)[d]);
    out[d] = total;
  }
}

// Rows of a ring from `first` on, by number.
template <class Isa>
struct RingRows {
  const std::uint16_t* rows;
  std::size_t first, slots, stride;
  const std::uint16_t* operator()(std::size_t i) const noexcept {
    const std::size_t slot = first + i;  // first < slots, i < slots
    return rows + (slot < slots ? slot : slot - slots) * stride;
  }
};
template <class Isa>
inline RingRows<Isa> rows_of(const CachedHead& cached, const std::uint16_t* rows, std::size_t first) noexcept {
  return {rows, first % cached.slots, cached.slots, cached.stride};
}

template <class Isa>
inline void attend(const Attention& a) noexcept {
  const CachedHead& c = a.cached;
  for (std::size_t i = 0; i < a.queries * c.head_dim; ++i) a.out[i] = 0;
  for (std::size_t q = 0; q < a.queries; ++q) a.softmax[q] = {};
  for (std::size_t first = a.first; first <= a.last; first += kKeyBlock) {
    const std::size_t count = a.last + 1 - first < kKeyBlock ? a.last + 1 - first : kKeyBlock;
    const auto key = rows_of<Isa>(c, c.k, first), value = rows_of<Isa>(c, c.v, first);
    for (std::size_t q = 0; q < a.queries; ++q) {
      alignas(64) float scores[kKeyBlock];
      for (std::size_t i = 0; i < count; ++i)
        scores[i] = a.scale * float_product<Isa, ReadF16<Isa>>(key(i), a.q + q * c.head_dim, c.head_dim);
      if (a.soft_cap > 0) soft_cap<Isa>(scores, count, a.soft_cap);
      for (std::size_t i = count; i < kKeyBlock; ++i) scores[i] = kNothing;
      const float factor = update<Isa>(a.softmax[q], scores);
      accumulate<Isa>(a.out + q * c.head_dim, factor, scores, count, c.head_dim, value);
    }
  }
}

// The scratch of one block of queries; `padded` is head_dim rounded up to whole tiles.
template <class Isa>
struct BlockScratch {
  std::size_t padded;
  float *queries, *sums;  // [kAttentionRows, padded]
  float* keys;            // [head_dim, kKeyBlock]
  float* values;          // [kKeyBlock, padded]
  float* scores;          // [kAttentionRows, kKeyBlock]
  explicit BlockScratch(const BlockAttention& a) noexcept : padded((a.cached.head_dim + 31) / 32 * 32) {
    queries = a.scratch;
    sums = queries + kAttentionRows * padded;
    keys = sums + kAttentionRows * padded;
    values = keys + kKeyBlock * padded;
    scores = values + kKeyBlock * padded;
  }
};

// Keys of a block side by side, values row by row, both as floats; missing ones as zeros.
template <class Isa>
inline void load_block(const CachedHead& c, std::size_t first, std::size_t count, const BlockScratch<Isa>& s) noexcept {
  const auto key = rows_of<Isa>(c, c.k, first), value = rows_of<Isa>(c, c.v, first);
  for (std::size_t i = 0; i < kKeyBlock; ++i) {
    float* row = s.values + i * s.padded;
    if (i < count) {
      unpack_floats<Isa, ReadF16<Isa>>(reinterpret_cast<const std::byte*>(key(i)), row, c.head_dim);
      for (std::size_t d = 0; d < c.head_dim; ++d) s.keys[d * kKeyBlock + i] = row[d];
      unpack_floats<Isa, ReadF16<Isa>>(reinterpret_cast<const std::byte*>(value(i)), row, c.head_dim);
    } else {
      for (std::size_t d = 0; d < c.head_dim; ++d) s.keys[d * kKeyBlock + i] = row[d] = 0;
    }
    for (std::size_t d = c.head_dim; d < s.padded; ++d) row[d] = 0;
  }
}

// Caps the scores of one row and takes out what its token does not see: positions [from, from + kKeyBlock) are there.
template <class Isa>
inline void mask(const BlockAttention& a, std::size_t position, std::size_t from, float* scores) noexcept {
  if (a.soft_cap > 0) soft_cap<Isa>(scores, kKeyBlock, a.soft_cap);
  const std::size_t oldest = first_seen(position, a.window);
  if (from >= oldest && from + kKeyBlock <= position + 1) return;
  for (std::size_t i = 0; i < kKeyBlock; ++i)
    if (from + i < oldest || from + i > position) scores[i] = kNothing;
}

template <class Isa>
inline void attend_block(const BlockAttention& a) noexcept {
  constexpr std::size_t kTile = kTileTokens<Isa>;
  const std::size_t rows = a.tokens * a.queries, dim = a.cached.head_dim, last = a.position + a.tokens - 1;
  const BlockScratch<Isa> s(a);
  RunningSoftmax softmax[kAttentionRows];
  for (std::size_t r = 0; r < rows; ++r) {
    const float* q = a.q + r / a.queries * a.q_stride + r % a.queries * dim;
    for (std::size_t d = 0; d < dim; ++d) s.queries[r * s.padded + d] = q[d] * a.scale;
    for (std::size_t d = 0; d < s.padded; ++d) s.sums[r * s.padded + d] = 0;
  }
  const std::size_t first = first_seen(a.position, a.window);
  for (std::size_t from = first; from <= last; from += kKeyBlock) {
    load_block<Isa>(a.cached, from, last + 1 - from < kKeyBlock ? last + 1 - from : kKeyBlock, s);
    for (std::size_t i = 0; i < kKeyBlock; i += kTile)
      multiply_rows<Isa>(s.queries, s.padded, rows, s.keys + i, kKeyBlock, dim, s.scores + i, kKeyBlock, true);
    for (std::size_t r = 0; r < rows; ++r) {
      mask<Isa>(a, a.position + r / a.queries, from, s.scores + r * kKeyBlock);
      const float factor = update<Isa>(softmax[r], s.scores + r * kKeyBlock);
      if (factor != 1.0f) scale<Isa>(s.sums + r * s.padded, s.padded, factor);
    }
    for (std::size_t d = 0; d < s.padded; d += kTile)
      multiply_rows<Isa>(s.scores, kKeyBlock, rows, s.values + d, s.padded, kKeyBlock, s.sums + d, s.padded, false);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    float* out = a.out + r / a.queries * a.q_stride + r % a.queries * dim;
    for (std::size_t d = 0; d < dim; ++d) out[d] = s.sums[r * s.padded + d] / softmax[r].sum;
  }
}

}  // namespace carat::cpu
