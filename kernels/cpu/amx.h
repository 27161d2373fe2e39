// Weights times many tokens on AMX tiles of bf16 (Intel SDM, volume 1, chapter 18; Optimization Manual, chapter 20).
//
// A tile step multiplies 16 rows of weights by 16 tokens, 32 deep: weights as they lie in a row, activations with the
// elements of a pair side by side. Three row tiles times two token tiles are summed at once, six of the eight tile
// registers, so that each tile that is loaded is used two or three times: loading, not multiplying, is what limits.
#pragma once
#include "kernels/cpu/panel.h"

namespace carat::cpu {

inline constexpr std::size_t kTileRows = 16;   // of weights, or of tokens
inline constexpr std::size_t kTileDepth = 32;  // elements of bf16 in 64 bytes
inline constexpr std::size_t kTileBytes = kTileRows * 64;
inline constexpr std::size_t kRowTiles = kPanelRows / kTileRows;   // three
inline constexpr std::size_t kStepBytes = kRowTiles * kTileBytes;  // weights of one depth step
inline constexpr std::size_t kAmxTokens = 2 * kTileRows;           // tokens of a packed tile
inline constexpr std::size_t kAmxDepth = 256;  // of a slice: its weights stay in the first-level cache
static_assert(kPanelRows == 48 && kAmxDepth == 256);

// The shapes of the tile registers: all of 16 rows of 64 bytes. Palette 1 (SDM, table 18-1).
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

// Configures the tiles of this thread. Written out, because g++ 12's intrinsic names 8 of the 64 bytes as its input.
template <class Isa>
inline void configure_tiles() noexcept {
  const TileConfig config;
  asm volatile("ldtilecfg %0" : : "m"(config));
}

// Columns to rows: 16 registers of 16 dwords.
template <class Isa>
[[gnu::always_inline]] inline void transpose(__m512i (&r)[16]) noexcept {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // r[4 j + i]: column i of each 128-bit lane, rows 4 j to 4 j + 3
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xDD);
    t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xDD);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xDD);
    r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xDD);
  }
}

// 32 floats as bf16, and what that leaves over, as bf16 too: together 16 bits of each.
template <class Isa>
[[gnu::always_inline]] inline void split_bf16(__m512 low, __m512 high, __m512i& coarse, __m512i& fine) noexcept {
  coarse = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
  const auto widened = [](__m256i half) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  };
  const __m512 low_left = _mm512_sub_ps(low, widened(_mm512_castsi512_si256(coarse)));
  const __m512 high_left = _mm512_sub_ps(high, widened(_mm512_extracti64x4_epi64(coarse, 1)));
  fine = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high_left, low_left));
}

// One packed tile: for each 32 of the depth, two tiles of 16 tokens; then the same again with what bf16 leaves over.
// cols is padded with zeros to a multiple of 32.
template <class Isa>
inline void pack_tile_bf16(const float* x, std::size_t tokens, std::size_t cols, float* out) noexcept {
  const std::size_t steps = (cols + kTileDepth - 1) / kTileDepth;
  auto* coarse_out = reinterpret_cast<char*>(out);
  char* fine_out = coarse_out + steps * 2 * kTileBytes;
  for (std::size_t step = 0; step < steps; ++step) {
    const std::size_t k = step * kTileDepth, left = cols - k;
    const auto mask = [left](std::size_t from) {
      return static_cast<__mmask16>(left >= from + 16 ? 0xFFFF : left > from ? (1u << (left - from)) - 1 : 0);
    };
    for (std::size_t half = 0; half < 2; ++half) {
      __m512i coarse[16], fine[16];
      for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t t = 16 * half + i;
        const float* row = x + t * cols + k;
        const bool there = t < tokens;
        const __m512 low = there ? _mm512_maskz_loadu_ps(mask(0), row) : _mm512_setzero_ps();
        const __m512 high = there ? _mm512_maskz_loadu_ps(mask(16), row + 16) : _mm512_setzero_ps();
        split_bf16<Isa>(low, high, coarse[i], fine[i]);
      }
      transpose<Isa>(coarse);
      transpose<Isa>(fine);
      for (std::size_t i = 0; i < 16; ++i) {
        _mm512_storeu_si512(coarse_out + (2 * step + half) * kTileBytes + 64 * i, coarse[i]);
        _mm512_storeu_si512(fine_out + (2 * step + half) * kTileBytes + 64 * i, fine[i]);
      }
    }
  }
}

// The weights of one row and slice as bf16, a row of a tile at a time: `out` is the row's place in the first tile.
template <class Isa, class Block, std::size_t units>
[[gnu::always_inline]] inline void unpack_units_bf16(const Block* w, char* out) noexcept {
  using Read = Reader<Isa, Block>;
  constexpr std::size_t kPerUnit = 32 / Read::kScaleElements;
  alignas(64) float scales[units * kPerUnit], minima[units * kPerUnit];
  Read::template scales<units>(w, scales);
  if constexpr (Read::kHasMinimum) Read::template minima<units>(w, minima);
  const auto unpack_unit = [&]<std::size_t unit>() __attribute__((always_inline)) {
    const Codes<Isa> codes = Read::template codes<unit>(w);
    __m512 values[2];
    for (std::size_t h = 0; h < 2; ++h) {
      const std::size_t s = kPerUnit == 1 ? unit : 2 * unit + h;
      const __m512 code = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(codes.half[h].part[0]));
      if constexpr (Read::kHasMinimum)
        values[h] = _mm512_fmadd_ps(code, _mm512_set1_ps(scales[s]), _mm512_set1_ps(minima[s]));
      else
        values[h] = _mm512_mul_ps(code, _mm512_set1_ps(scales[s]));
    }
    _mm512_store_si512(out + unit * kStepBytes, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(values[1], values[0])));
  };
  [&]<std::size_t... unit>(std::index_sequence<unit...>) __attribute__((always_inline)) {
    (unpack_unit.template operator()<unit>(), ...);
  }
  (std::make_index_sequence<units>{});
}

template <class Isa, class Block>
inline void unpack_row_bf16(const std::byte* from, std::size_t depth, char* coarse, char*) noexcept {
  constexpr std::size_t kBlocks = 256 / Reader<Isa, Block>::kElements;
  const auto* w = reinterpret_cast<const Block*>(from);
  std::size_t k = 0;
  for (; k + 256 <= depth; k += 256, w += kBlocks, coarse += 8 * kStepBytes)
    unpack_units_bf16<Isa, Block, 8>(w, coarse);
  if constexpr (kBlocks == 8)
    for (; k < depth; k += 32, ++w, coarse += kStepBytes) unpack_units_bf16<Isa, Block, 1>(w, coarse);
}

// Weights in floating point keep what bf16 leaves over in a second set of tiles.
template <class Isa, class Read>
inline void unpack_float_row_bf16(const std::byte* from, std::size_t depth, char* coarse, char* fine) noexcept {
  const auto* w = reinterpret_cast<const typename Read::Element*>(from);
  for (std::size_t k = 0; k < depth; k += kTileDepth, coarse += kStepBytes, fine += kStepBytes) {
    __m512 low, high;
    if (k + kTileDepth <= depth) {
      low = Read::load(w + k);
      high = Read::load(w + k + 16);
    } else {
      alignas(64) float padded[kTileDepth] = {};
      for (std::size_t i = k; i < depth; ++i) padded[i - k] = Read::value(w[i]);
      low = _mm512_load_ps(padded);
      high = _mm512_load_ps(padded + 16);
    }
    __m512i coarse_bits, fine_bits;
    split_bf16<Isa>(low, high, coarse_bits, fine_bits);
    _mm512_store_si512(coarse, coarse_bits);
    _mm512_store_si512(fine, fine_bits);
  }
}

// Sums of one pair of token tiles: row tile r and token tile h at (2 r + h) tiles, each 16 rows of 16 tokens.
inline constexpr std::size_t kSumFloats = 2 * kRowTiles * kTileRows * kTileRows;

// sums (+)= weights * tokens over `steps` depth steps. A slab of fewer rows is multiplied as if it were whole: what
// lies in the scratch instead of the missing rows goes nowhere.
template <class Isa>
inline void multiply_tiles(const char* w, const char* tokens, std::size_t steps, float* sums, bool first) noexcept {
  char* sum = reinterpret_cast<char*>(sums);
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
  } else {
    _tile_loadd(0, sum, 64);
    _tile_loadd(1, sum + kTileBytes, 64);
    _tile_loadd(2, sum + 2 * kTileBytes, 64);
    _tile_loadd(3, sum + 3 * kTileBytes, 64);
    _tile_loadd(4, sum + 4 * kTileBytes, 64);
    _tile_loadd(5, sum + 5 * kTileBytes, 64);
  }
  for (std::size_t step = 0; step < steps; ++step, w += kStepBytes, tokens += 2 * kTileBytes) {
    _tile_loadd(6, tokens, 64);
    _tile_loadd(7, w, 64);
    _tile_dpbf16ps(0, 7, 6);
    _tile_loadd(7, w + kTileBytes, 64);
    _tile_dpbf16ps(2, 7, 6);
    _tile_loadd(7, w + 2 * kTileBytes, 64);
    _tile_dpbf16ps(4, 7, 6);
    _tile_loadd(6, tokens + kTileBytes, 64);
    _tile_dpbf16ps(5, 7, 6);  // the third weights are still there
    _tile_loadd(7, w + kTileBytes, 64);
    _tile_dpbf16ps(3, 7, 6);
    _tile_loadd(7, w, 64);
    _tile_dpbf16ps(1, 7, 6);
  }
  _tile_stored(0, sum, 64);
  _tile_stored(1, sum + kTileBytes, 64);
  _tile_stored(2, sum + 2 * kTileBytes, 64);
  _tile_stored(3, sum + 3 * kTileBytes, 64);
  _tile_stored(4, sum + 4 * kTileBytes, 64);
  _tile_stored(5, sum + 5 * kTileBytes, 64);
}

// The sums of one pair of token tiles, tokens t to t + 32, to their places in out [tokens, stride].
template <class Isa>
inline void write_sums(const float* sums, const Panel& p, std::size_t t) noexcept {
  for (std::size_t half = 0; half < 2; ++half, t += kTileRows) {
    if (t >= p.tokens) return;
    const std::size_t tokens = p.tokens - t < kTileRows ? p.tokens - t : kTileRows;
    for (std::size_t r = 0; r < p.rows; r += kTileRows) {
      const float* tile = sums + (2 * (r / kTileRows) + half) * kTileRows * kTileRows;
      __m512i block[16];
      for (std::size_t i = 0; i < 16; ++i) block[i] = _mm512_load_si512(tile + i * kTileRows);
      transpose<Isa>(block);
      const std::size_t rows = p.rows - r < kTileRows ? p.rows - r : kTileRows;
      const auto mask = static_cast<__mmask16>((1u << rows) - 1);
      for (std::size_t i = 0; i < tokens; ++i) _mm512_mask_storeu_epi32(p.out + (t + i) * p.stride + r, mask, block[i]);
    }
  }
}

// Tile instructions do not tell the compiler what memory they read and write.
template <class Isa>
[[gnu::always_inline]] inline void barrier() noexcept {
  asm volatile("" : : : "memory");
}

// Unpacks the slice of the slab from depth k on, and asks for the bytes of the slice, or slab, that comes next.
template <class Isa>
inline void unpack_slice(const Panel& p, std::size_t k, std::size_t depth, char* coarse, char* fine) noexcept {
  const bool last = k + depth == p.cols;
  for (std::size_t r = 0; r < p.rows; ++r) {
    const std::byte* row = p.w + r * p.row_bytes;
    const std::byte* next = last ? row + p.rows * p.row_bytes : row + (k / 256 + 1) * p.bytes_per_256;
    for (std::size_t i = 0; i < p.bytes_per_256; i += 64) __builtin_prefetch(next + i);
    const std::size_t place = r / 16 * kTileBytes + r % 16 * 64;
    p.unpack_tiles(row + k / 256 * p.bytes_per_256, depth, coarse + place, fine + place);
  }
}

inline constexpr std::size_t kSliceBytes = kAmxDepth / kTileDepth * kStepBytes;

// The slab times every token; `done(sums, t)` with the sums of tokens t to t + 32 as soon as they are whole.
template <class Isa, class Done>
[[gnu::always_inline]] inline void sum_panel_amx(const Panel& p, float* sums, Done done) noexcept {
  auto* coarse = reinterpret_cast<char*>(p.scratch);
  char* fine = coarse + kSliceBytes;
  const std::size_t all_steps = padded_depth(p.cols) / kTileDepth;
  for (std::size_t k = 0; k < p.cols; k += kAmxDepth) {
    const std::size_t depth = p.cols - k < kAmxDepth ? p.cols - k : kAmxDepth, steps = (depth + 31) / 32;
    unpack_slice<Isa>(p, k, depth, coarse, fine);
    barrier<Isa>();
    for (std::size_t t = 0; t < p.tokens; t += kAmxTokens) {
      const char* tile = reinterpret_cast<const char*>(p.packed) + t * all_steps * kTileDepth * sizeof(float);
      const char* tokens = tile + k / kTileDepth * 2 * kTileBytes;
      float* sum = sums + t / kAmxTokens * kSumFloats;
      multiply_tiles<Isa>(coarse, tokens, steps, sum, k == 0);
      if (p.exact) {
        multiply_tiles<Isa>(coarse, tokens + all_steps * 2 * kTileBytes, steps, sum, false);
        multiply_tiles<Isa>(fine, tokens, steps, sum, false);
      }
      barrier<Isa>();
      if (k + depth == p.cols) done(sum, t);
    }
  }
}

// The first running sums, behind the unpacked slice; the second set follows.
template <class Isa>
inline float* amx_sums(const Panel& p) noexcept {
  return p.scratch + 2 * kSliceBytes / sizeof(float);
}

template <class Isa>
inline void multiply_panel_amx(const Panel& p) noexcept {
  configure_tiles<Isa>();
  sum_panel_amx<Isa>(p, amx_sums<Isa>(p), [&](const float* sum, std::size_t t) { write_sums<Isa>(sum, p, t); });
  _tile_release();
}

// act(gate) * up of one pair of token tiles into the packed input of the next product. Rows of the slab are its depth:
// two of them, side by side in each dword, make a row of its tiles.
template <class Isa>
inline void pack_gated(const GatedPanel& p, const float* gate, const float* up, std::size_t t) noexcept {
  const std::size_t steps = padded_depth(p.hidden) / kTileDepth;
  char* tile = reinterpret_cast<char*>(p.packed_out) + t * steps * kTileDepth * sizeof(float);
  alignas(64) static constexpr std::uint16_t kInterleave[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                                21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                                11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i interleave = _mm512_load_si512(kInterleave);
  for (std::size_t r = 0; r < p.gate.rows; r += 2) {
    const std::size_t k = p.first + r, row = k % kTileDepth / 2;
    for (std::size_t half = 0; half < 2; ++half) {
      const auto value = [&](std::size_t i) -> __m512 {
        if (i >= p.gate.rows) return _mm512_setzero_ps();
        const std::size_t at = (2 * (i / kTileRows) + half) * kTileRows * kTileRows + i % kTileRows * kTileRows;
        using Floats = vec<float, Isa>;
        const Floats g = Floats(p.gate.scale) * Floats::load_aligned(gate + at);
        return gated<Isa>(p.act, g, Floats(p.up.scale) * Floats::load_aligned(up + at));
      };
      __m512i coarse, fine;
      split_bf16<Isa>(value(r), value(r + 1), coarse, fine);
      char* out = tile + (2 * (k / kTileDepth) + half) * kTileBytes + 64 * row;
      _mm512_store_si512(out, _mm512_permutexvar_epi16(interleave, coarse));
      if (p.fine_too) _mm512_store_si512(out + steps * 2 * kTileBytes, _mm512_permutexvar_epi16(interleave, fine));
    }
  }
}

template <class Isa>
inline void multiply_gated_panel_amx(const GatedPanel& p) noexcept {
  configure_tiles<Isa>();
  float *gate = amx_sums<Isa>(p.gate), *up = gate + kPanelRows * kPanelTokens;
  sum_panel_amx<Isa>(p.gate, gate, [](const float*, std::size_t) {});
  sum_panel_amx<Isa>(p.up, up, [&](const float* sum, std::size_t t) {
    pack_gated<Isa>(p, gate + t / kAmxTokens * kSumFloats, sum, t);
  });
  _tile_release();
}

// Panels on tiles, for the row of this instruction set.
template <>
struct TilePanels<Amx> {
  template <class Block>
  static constexpr UnpackTiles blocks = unpack_row_bf16<Amx, Block>;
  template <class Read>
  static constexpr UnpackTiles floats = unpack_float_row_bf16<Amx, Read>;
  static constexpr void replace_panels(Table& table) noexcept {
    for (CodeFormat& format : table.codes) format = {};
    table.tile_tokens = kAmxTokens;
    table.pack_tile = pack_tile_bf16<Amx>;
    table.pack_codes = nullptr;
    table.slab_rows = kPanelRows;
    table.panel_product = multiply_panel_amx<Amx>;
    table.gated_panel = multiply_gated_panel_amx<Amx>;
  }
};

}  // namespace carat::cpu
