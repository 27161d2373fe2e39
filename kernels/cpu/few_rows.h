// Rows of weights times a few tokens: the row products of several sequences' decode steps, or of one checking a draft.
// Each weight is read and decoded once; each token's result has the bits it has alone.
#pragma once
#include "kernels/cpu/unpack.h"

namespace carat::cpu {

// Rows that meet a token at once, so that it is loaded once for all of them: as floats, as many as registers hold.
inline constexpr std::size_t kRowsAtOnce = 4;
template <class Isa>
inline constexpr std::size_t kFloatRowsAtOnce = kIs512<typename Isa::wide> ? 4 : 2;

// Units of blocks, decoded, to be read as if they were a block themselves.
template <class Isa, class Block, std::size_t units>
struct Decoded {
  using Read = Reader<Isa, Block>;
  static constexpr std::size_t kScales = units * 32 / Read::kScaleElements;
  alignas(64) std::int16_t codes[32 * units];
  alignas(64) float scales[kScales];
  alignas(64) float minima[Read::kHasMinimum ? kScales : 1];

  static constexpr std::size_t place(std::size_t unit, std::size_t half) { return 32 * unit + 16 * half; }

  [[gnu::always_inline]] void load(const Block* w) noexcept {
    Read::template scales<units>(w, scales);
    if constexpr (Read::kHasMinimum) Read::template minima<units>(w, minima);
    const StagedCodes<Isa, Block, units> staged(w);
    [&]<std::size_t... unit>(std::index_sequence<unit...>) __attribute__((always_inline)) {
      (store(unit, staged.template of<unit>()), ...);
    }
    (std::make_index_sequence<units>{});
  }

 private:
  [[gnu::always_inline]] void store(std::size_t unit, const Codes<Isa>& from) noexcept {
    using Half = Int16x16<Isa>;
    for (std::size_t h = 0; h < 2; ++h)
      for (std::size_t i = 0; i < Half::kParts; ++i)
        from.half[h].part[i].store_aligned(codes + place(unit, h) + i * Half::Part::size);
  }
};

// What Decoded keeps of a reader: codes are decoded without the offset that is taken off by sums.
template <class Read>
struct KeptOffset {};
template <HasOffset Read>
struct KeptOffset<Read> {
  static constexpr std::int16_t kOffset = Read::kOffset;
};

template <class Isa, class Block, std::size_t n>
struct Reader<Isa, Decoded<Isa, Block, n>> : KeptOffset<Reader<Isa, Block>> {
  using Source = Decoded<Isa, Block, n>;
  static constexpr std::size_t kScaleElements = Reader<Isa, Block>::kScaleElements;
  static constexpr bool kHasMinimum = Reader<Isa, Block>::kHasMinimum;
  template <std::size_t units>
  static void scales(const Source* w, float* out) noexcept {
    for (std::size_t i = 0; i < Source::kScales; ++i) out[i] = w->scales[i];
  }
  template <std::size_t units>
  static void minima(const Source* w, float* out) noexcept {
    for (std::size_t i = 0; i < Source::kScales; ++i) out[i] = w->minima[i];
  }
  template <std::size_t unit>
  static Codes<Isa> raw_codes(const Source* w) noexcept {
    return codes<unit>(w);
  }
  template <std::size_t unit>
  static Codes<Isa> codes(const Source* w) noexcept {
    return {{load16<Isa>(w->codes + Source::place(unit, 0)), load16<Isa>(w->codes + Source::place(unit, 1))}};
  }
};

// Sums of each token and row; only those in use are cleared.
template <class Isa>
struct FewSums {
  alignas(64) std::byte bytes[kFewTokens * kRowsAtOnce * sizeof(RowSums<Isa>)];
  RowSums<Isa>* of(std::size_t token) noexcept { return reinterpret_cast<RowSums<Isa>*>(bytes) + token * kRowsAtOnce; }
};

// Units [at, at + units) of `n` rows that lie `stride` blocks apart, times every token.
template <class Isa, class Block, std::size_t units, std::size_t n>
[[gnu::always_inline]] inline void add_few(const Block* w, std::size_t stride, const Activation* x, std::size_t tokens,
                                           std::size_t at, FewSums<Isa>& sums) noexcept {
  using Source = Decoded<Isa, Block, units>;
  Source rows[n];
  for (std::size_t r = 0; r < n; ++r) rows[r].load(w + r * stride);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < n; ++r) add_units<Isa, Source, units>(&rows[r], x[t], at, sums.of(t)[r]);
}

template <class Isa, class Block, std::size_t n>
inline void few_row_products(const Block* w, std::size_t cols, const Activation* x, std::size_t tokens, float* out,
                             std::size_t stride) noexcept {
  constexpr std::size_t kElements = Reader<Isa, Block>::kElements, kBlocks = 256 / kElements;
  const std::size_t row = cols / kElements;  // in blocks
  FewSums<Isa> sums;
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < n; ++r) sums.of(t)[r] = {};
  std::size_t at = 0;  // in units of 32
  for (; at + 8 <= cols / kGroup; at += 8, w += kBlocks) {
    for (std::size_t r = 0; r < n; ++r)  // the rows that come next
      for (std::size_t i = 0; i < kBlocks * sizeof(Block); i += 64)
        __builtin_prefetch(reinterpret_cast<const char*>(w + (n + r) * row) + i);
    add_few<Isa, Block, 8, n>(w, row, x, tokens, at, sums);
  }
  if constexpr (kBlocks == 8)
    for (; at < cols / kGroup; ++at, ++w) add_few<Isa, Block, 1, n>(w, row, x, tokens, at, sums);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < n; ++r) out[t * stride + r] = sums.of(t)[r].total();
}

template <class Isa, class Block>
inline void quantized_few_rows(const std::byte* w, std::size_t rows, std::size_t cols, const Activation* x,
                               std::size_t tokens, float* out, std::size_t stride) noexcept {
  const std::size_t row = cols / Reader<Isa, Block>::kElements;
  const auto* from = reinterpret_cast<const Block*>(w);
  std::size_t r = 0;
  for (; r + kRowsAtOnce <= rows; r += kRowsAtOnce, from += kRowsAtOnce * row)
    few_row_products<Isa, Block, kRowsAtOnce>(from, cols, x, tokens, out + r, stride);
  for (; r < rows; ++r, from += row) few_row_products<Isa, Block, 1>(from, cols, x, tokens, out + r, stride);
}

// Weights in floating point, unpacked a slice at a time. The sums are those of float_product, chain for chain.
template <class Isa, class Read, std::size_t n>
inline void few_float_products(const typename Read::Element* w, std::size_t cols, const Activation* x,
                               std::size_t tokens, float* out, std::size_t stride) noexcept {
  using Floats = vec<float, Isa>;
  constexpr std::size_t kLanes = Floats::size, kSlice = 512;
  const std::size_t whole = cols / (4 * kLanes) * (4 * kLanes);
  alignas(64) float slice[n][kSlice];
  alignas(64) float sums[kFewTokens][n][4 * kLanes];
  for (std::size_t i = 0; i < whole; i += kSlice) {
    const std::size_t depth = whole - i < kSlice ? whole - i : kSlice;
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t p = 0; p < depth * sizeof(*w); p += 64)  // the rows that come next
        __builtin_prefetch(reinterpret_cast<const char*>(w + (n + r) * cols + i) + p);
      unpack_floats<Isa, Read>(reinterpret_cast<const std::byte*>(w + r * cols + i), slice[r], depth);
    }
    for (std::size_t t = 0; t < tokens; ++t) {
      Floats sum[n][4];
#pragma GCC unroll 4
      for (std::size_t r = 0; r < n; ++r)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j)
          sum[r][j] = i == 0 ? Floats(0.0f) : Floats::load_aligned(sums[t][r] + j * kLanes);
      for (std::size_t k = 0; k < depth; k += 4 * kLanes)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j) {
          const Floats y = Floats::load_unaligned(x[t].exact + i + k + j * kLanes);
#pragma GCC unroll 4
          for (std::size_t r = 0; r < n; ++r)
            sum[r][j] = multiply_add(Floats::load_aligned(slice[r] + k + j * kLanes), y, sum[r][j]);
        }
#pragma GCC unroll 4
      for (std::size_t r = 0; r < n; ++r)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; ++j) sum[r][j].store_aligned(sums[t][r] + j * kLanes);
    }
  }
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = 0; r < n; ++r) {
      Floats sum[4];
      for (std::size_t j = 0; j < 4; ++j)
        sum[j] = whole == 0 ? Floats(0.0f) : Floats::load_aligned(sums[t][r] + j * kLanes);
      out[t * stride + r] = finish_float_product<Isa, Read>(w + r * cols, x[t].exact, whole, cols, sum);
    }
}

template <class Isa, class Read>
inline void float_few_rows(const std::byte* w, std::size_t rows, std::size_t cols, const Activation* x,
                           std::size_t tokens, float* out, std::size_t stride) noexcept {
  constexpr std::size_t kRows = kFloatRowsAtOnce<Isa>;
  const auto* from = reinterpret_cast<const typename Read::Element*>(w);
  std::size_t r = 0;
  for (; r + kRows <= rows; r += kRows, from += kRows * cols)
    few_float_products<Isa, Read, kRows>(from, cols, x, tokens, out + r, stride);
  for (; r < rows; ++r, from += cols) few_float_products<Isa, Read, 1>(from, cols, x, tokens, out + r, stride);
}

}  // namespace carat::cpu
