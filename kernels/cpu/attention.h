// Attention of one query over a cache of halves, with a running softmax (Milakov & Gimelshein, 2018): positions are
// taken a block at a time, so no row of scores as long as the context is ever kept.
#pragma once
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/row_product.h"

namespace carat::cpu {

inline constexpr std::size_t kScoreBlock = 64;

// The softmax over the positions seen so far, not yet divided by its sum.
struct RunningSoftmax {
  float largest = -3.0e38f;
  float sum = 0;
};

// scores -> exp(score - largest), with the sums so far brought to the same `largest`. Returns the factor for them.
template <class Isa>
inline float update(RunningSoftmax& so_far, float (&scores)[kScoreBlock]) noexcept {
  using Floats = vec<float, Isa>;
  float largest = so_far.largest;
  for (const float score : scores) largest = score > largest ? score : largest;
  Floats sums(0.0f);
  for (std::size_t i = 0; i < kScoreBlock; i += Floats::size) {
    const Floats e = xsimd::exp(Floats::load_aligned(scores + i) - Floats(largest));
    e.store_aligned(scores + i);
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

template <class Isa>
inline void attend(const Attention& a) noexcept {
  for (std::size_t d = 0; d < a.head_dim; ++d) a.out[d] = 0;
  RunningSoftmax so_far;
  for (std::size_t first = a.first; first <= a.last; first += kScoreBlock) {
    const std::size_t count = a.last + 1 - first < kScoreBlock ? a.last + 1 - first : kScoreBlock;
    const auto row_of = [&](const std::uint16_t* cache) {
      return [&a, cache, first](std::size_t i) { return cache + (first + i) % a.slots * a.stride; };
    };
    const auto key = row_of(a.k);
    alignas(64) float scores[kScoreBlock];
    for (std::size_t i = 0; i < count; ++i)
      scores[i] = a.scale * float_product<Isa, ReadF16<Isa>>(key(i), a.q, a.head_dim);
    if (a.soft_cap > 0) soft_cap<Isa>(scores, count, a.soft_cap);
    for (std::size_t i = count; i < kScoreBlock; ++i) scores[i] = -3.0e38f;  // weighs nothing

    const float factor = update<Isa>(so_far, scores);
    accumulate<Isa>(a.out, factor, scores, count, a.head_dim, row_of(a.v));
  }
  scale<Isa>(a.out, a.head_dim, 1.0f / so_far.sum);
}

}  // namespace carat::cpu
