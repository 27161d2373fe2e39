// Attention over a cache, with a running softmax (Milakov & Gimelshein, 2018): positions are taken a block at a time,
// so no row of scores as long as the context is ever kept.
#pragma once
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/panel.h"

namespace carat::cpu {

inline constexpr float kNothing = -3.0e38f;  // a score that weighs nothing, and breaks no arithmetic

// scores -> exp(score - largest), with the sums so far brought to the same `largest`. Returns the factor for them.
template <class Isa>
inline float update(RunningSoftmax& so_far, float* scores) noexcept {
  using Floats = vec<float, Isa>;
  Floats lanes(so_far.largest);
  for (std::size_t i = 0; i < kKeyBlock; i += Floats::size)
    lanes = xsimd::max(lanes, Floats::load_unaligned(scores + i));
  const float largest = largest_lane(lanes);
  Floats sums(0.0f);
  for (std::size_t i = 0; i < kKeyBlock; i += Floats::size) {
    const Floats e = xsimd::exp(Floats::load_unaligned(scores + i) - Floats(largest));
    e.store_unaligned(scores + i);
    sums = sums + e;
  }
  alignas(64) float shift[Floats::size];
  xsimd::exp(Floats(so_far.largest - largest)).store_aligned(shift);
  so_far.sum = so_far.sum * shift[0] + sum_of(sums);
  so_far.largest = largest;
  return shift[0];
}

// Cached rows of numbers, and of q8_0: how a register of one is read from element d on, and a single element.
template <class Isa, class Read>
struct CachedFloats {
  using Element = typename Read::Element;
  static vec<float, Isa> load(const std::byte* row, std::size_t d) noexcept {
    return Read::load(reinterpret_cast<const Element*>(row) + d);
  }
  static float value(const std::byte* row, std::size_t d) noexcept {
    return Read::value(reinterpret_cast<const Element*>(row)[d]);
  }
  static constexpr auto unpack = unpack_floats<Isa, Read>;
};
template <class Isa>
struct CachedQ8_0 {
  static vec<float, Isa> load(const std::byte* row, std::size_t d) noexcept {
    const auto& block = reinterpret_cast<const BlockQ8_0*>(row)[d / 32];
    return xsimd::to_float(load_bytes<typename Isa::wide>(block.qs + d % 32)) *
           vec<float, Isa>(half_value<Isa>(block.d));
  }
  static float value(const std::byte* row, std::size_t d) noexcept {
    const auto& block = reinterpret_cast<const BlockQ8_0*>(row)[d / 32];
    return static_cast<float>(block.qs[d % 32]) * half_value<Isa>(block.d);
  }
  static constexpr auto unpack = unpack_blocks<Isa, BlockQ8_0>;
};

// Calls f with the reader of the rows' type.
template <class Isa, class F>
[[gnu::always_inline]] inline void with_reader(const CachedRows& rows, F f) noexcept {
  switch (rows.dtype) {
    case DType::f32:
      return f(CachedFloats<Isa, ReadF32<Isa>>());
    case DType::bf16:
      return f(CachedFloats<Isa, ReadBF16<Isa>>());
    case DType::q8_0:
      return f(CachedQ8_0<Isa>());
    default:
      return f(CachedFloats<Isa, ReadF16<Isa>>());
  }
}

// Rows of a ring from `first` on, by number.
template <class Isa>
struct RingRows {
  const std::byte* rows;
  std::size_t first, slots, stride;
  const std::byte* operator()(std::size_t i) const noexcept {
    const std::size_t slot = first + i;  // first < slots, i < slots
    return rows + (slot < slots ? slot : slot - slots) * stride;
  }
};
template <class Isa>
inline RingRows<Isa> rows_of(const CachedHead& cached, const CachedRows& rows, std::size_t first) noexcept {
  return {rows.at, first % cached.slots, cached.slots, rows.stride};
}

// Queries that meet a cached row at once, so that it is converted once for all of them.
inline constexpr std::size_t kQueryGroup = 4;
using GroupScores = float[kQueryGroup][kKeyBlock];

// What decoding reads is in memory, and rows of a head may lie far apart: fetched so many ahead of their use. Where
// they lie a power of two apart they crowd few sets of the first-level cache: more would drive each other out.
inline constexpr std::size_t kRowsAhead = 16;
template <class Isa>
[[gnu::always_inline]] inline void prefetch_row(const std::byte* row, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
}

// scores[s][i] = scale * q[s] · k[i]; as many keys at a time as make a whole register of sums.
template <class Isa, class Cache, std::size_t queries>
inline void score(const Attention& a, const float* q, std::size_t first, std::size_t count,
                  GroupScores& scores) noexcept {
  using Floats = vec<float, Isa>;
  constexpr std::size_t kKeys = Floats::size / kQueryGroup;
  const CachedHead& c = a.cached;
  const auto key = rows_of<Isa>(c, c.k, first), value = rows_of<Isa>(c, c.v, first);
  for (std::size_t i = 0; i < count; i += kKeys) {
    const std::byte* keys[kKeys];
    for (std::size_t k = 0; k < kKeys; ++k) {
      const std::size_t at = i + k < count ? i + k : count - 1;
      keys[k] = key(at);
      if (at + kRowsAhead < c.slots) prefetch_row<Isa>(key(at + kRowsAhead), c.k.bytes);
      if (at + kRowsAhead >= count && at + kRowsAhead - count < c.slots)
        prefetch_row<Isa>(value(at + kRowsAhead - count), c.v.bytes);
    }
    Floats sums[kQueryGroup * kKeys];
#pragma GCC unroll 16
    for (std::size_t s = 0; s < kQueryGroup * kKeys; ++s) sums[s] = Floats(0.0f);
    std::size_t d = 0;
    for (; d + Floats::size <= c.head_dim; d += Floats::size) {
      Floats x[kKeys];
#pragma GCC unroll 4
      for (std::size_t k = 0; k < kKeys; ++k) x[k] = Cache::load(keys[k], d);
#pragma GCC unroll 4
      for (std::size_t s = 0; s < queries; ++s) {
        const Floats y = Floats::load_unaligned(q + s * c.head_dim + d);
#pragma GCC unroll 4
        for (std::size_t k = 0; k < kKeys; ++k) sums[s * kKeys + k] = multiply_add(x[k], y, sums[s * kKeys + k]);
      }
    }
    alignas(64) float totals[kQueryGroup * kKeys];
    sums_of<typename Isa::wide>(sums, totals);
    for (; d < c.head_dim; ++d)
      for (std::size_t s = 0; s < queries; ++s)
        for (std::size_t k = 0; k < kKeys; ++k)
          totals[s * kKeys + k] += q[s * c.head_dim + d] * Cache::value(keys[k], d);
    (Floats::load_aligned(totals) * Floats(a.scale)).store_aligned(totals);
    for (std::size_t s = 0; s < queries; ++s)
      __builtin_memcpy(&scores[s][i], totals + s * kKeys, kKeys * sizeof(float));
  }
}

// out[s] = out[s] * factors[s] + sum of weights[s][i] * v[i], over elements [d, d + registers * a register's).
template <class Isa, class Cache, std::size_t queries, std::size_t registers, class Row>
[[gnu::always_inline]] inline void accumulate_slice(float* out, const float* factors, const GroupScores& weights,
                                                    std::size_t count, std::size_t head_dim, std::size_t d, Row row,
                                                    std::size_t row_bytes) noexcept {
  using Floats = vec<float, Isa>;
  Floats sums[queries][registers];
#pragma GCC unroll 4
  for (std::size_t s = 0; s < queries; ++s)
#pragma GCC unroll 2
    for (std::size_t j = 0; j < registers; ++j)
      sums[s][j] = Floats::load_unaligned(out + s * head_dim + d + j * Floats::size) * Floats(factors[s]);
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte* v = row(i);
    if (d == 0 && i + kRowsAhead < count) prefetch_row<Isa>(row(i + kRowsAhead), row_bytes);
    Floats x[registers];
#pragma GCC unroll 2
    for (std::size_t j = 0; j < registers; ++j) x[j] = Cache::load(v, d + j * Floats::size);
#pragma GCC unroll 4
    for (std::size_t s = 0; s < queries; ++s)
#pragma GCC unroll 2
      for (std::size_t j = 0; j < registers; ++j) sums[s][j] = multiply_add(Floats(weights[s][i]), x[j], sums[s][j]);
  }
#pragma GCC unroll 4
  for (std::size_t s = 0; s < queries; ++s)
#pragma GCC unroll 2
    for (std::size_t j = 0; j < registers; ++j) sums[s][j].store_unaligned(out + s * head_dim + d + j * Floats::size);
}

template <class Isa, class Cache, std::size_t queries>
inline void accumulate(const Attention& a, float* out, const float* factors, const GroupScores& weights,
                       std::size_t first, std::size_t count) noexcept {
  constexpr std::size_t kLanes = vec<float, Isa>::size;
  const std::size_t head_dim = a.cached.head_dim;
  const auto row = rows_of<Isa>(a.cached, a.cached.v, first);
  std::size_t d = 0;
  for (; d + 2 * kLanes <= head_dim; d += 2 * kLanes)
    accumulate_slice<Isa, Cache, queries, 2>(out, factors, weights, count, head_dim, d, row, a.cached.v.bytes);
  for (; d + kLanes <= head_dim; d += kLanes)
    accumulate_slice<Isa, Cache, queries, 1>(out, factors, weights, count, head_dim, d, row, a.cached.v.bytes);
  for (; d < head_dim; ++d)
    for (std::size_t s = 0; s < queries; ++s) {
      float total = out[s * head_dim + d] * factors[s];
      for (std::size_t i = 0; i < count; ++i) total += weights[s][i] * Cache::value(row(i), d);
      out[s * head_dim + d] = total;
    }
}

// Queries [q, q + queries) over positions [first, first + count).
template <class Isa, std::size_t queries>
inline void attend_group(const Attention& a, std::size_t q, std::size_t first, std::size_t count) noexcept {
  alignas(64) GroupScores scores;
  float factors[kQueryGroup];
  with_reader<Isa>(
      a.cached.k, [&]<class Cache>(Cache) __attribute__((always_inline)) {
        score<Isa, Cache, queries>(a, a.q + q * a.cached.head_dim, first, count, scores);
      });
  for (std::size_t s = 0; s < queries; ++s) {
    if (a.soft_cap > 0) soft_cap<Isa>(scores[s], count, a.soft_cap);
    for (std::size_t i = count; i < kKeyBlock; ++i) scores[s][i] = kNothing;
    factors[s] = update<Isa>(a.softmax[q + s], scores[s]);
  }
  with_reader<Isa>(
      a.cached.v, [&]<class Cache>(Cache) __attribute__((always_inline)) {
        accumulate<Isa, Cache, queries>(a, a.out + q * a.cached.head_dim, factors, scores, first, count);
      });
}

template <class Isa>
inline void attend(const Attention& a) noexcept {
  for (std::size_t i = 0; i < a.queries * a.cached.head_dim; ++i) a.out[i] = 0;
  for (std::size_t q = 0; q < a.queries; ++q) a.softmax[q] = {};
  for (std::size_t first = a.first; first <= a.last; first += kKeyBlock) {
    const std::size_t count = a.last + 1 - first < kKeyBlock ? a.last + 1 - first : kKeyBlock;
    std::size_t q = 0;
    for (; q + 4 <= a.queries; q += 4) attend_group<Isa, 4>(a, q, first, count);
    for (; q + 2 <= a.queries; q += 2) attend_group<Isa, 2>(a, q, first, count);
    for (; q < a.queries; ++q) attend_group<Isa, 1>(a, q, first, count);
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
  UnpackFloats unpack_key = nullptr, unpack_value = nullptr;
  with_reader<Isa>(c.k, [&]<class Cache>(Cache) { unpack_key = Cache::unpack; });
  with_reader<Isa>(c.v, [&]<class Cache>(Cache) { unpack_value = Cache::unpack; });
  for (std::size_t i = 0; i < kKeyBlock; ++i) {
    float* row = s.values + i * s.padded;
    if (i < count) {
      unpack_key(key(i), row, c.head_dim);
      for (std::size_t d = 0; d < c.head_dim; ++d) s.keys[d * kKeyBlock + i] = row[d];
      unpack_value(value(i), row, c.head_dim);
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
