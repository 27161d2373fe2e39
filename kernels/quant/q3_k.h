// q3_k: 16 sub-blocks of 16 codes of 3 bits, x = (d * (scale - 32)) * (code - 4) with scales of 6 bits.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/fit.h"
#include "kernels/quant/packing.h"

namespace carat {

struct Q3_K {
  using Block = BlockQ3_K;
  static constexpr DType dtype = DType::q3_k;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) decode(blocks[b], out + b * kSuperBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) encode(x + b * kSuperBlock, blocks[b]);
  }

 private:
  // Scale s, -32 … 31: low halves in the nibbles of bytes 0-7, the two high bits in bytes 8-11.
  static int scale_of(const Block& block, std::size_t s) noexcept {
    const int low = s < 8 ? block.scales[s] & 15 : block.scales[s - 8] >> 4;
    const int high = block.scales[8 + s % 4] >> (s / 4 * 2) & 3;
    return (low | high << 4) - 32;
  }

  static void set_scale(Block& block, std::size_t s, int scale) noexcept {
    const int code = scale + 32;
    std::uint8_t& low = block.scales[s % 8];
    std::uint8_t& high = block.scales[8 + s % 4];
    low = static_cast<std::uint8_t>(low | (code & 15) << (s / 8 * 4));
    high = static_cast<std::uint8_t>(high | code >> 4 << (s / 4 * 2));
  }

  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    for (std::size_t s = 0; s < 16; ++s) {
      const float scale = d * static_cast<float>(scale_of(block, s));
      for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) {
        const int high = block.hmask[i % 32] >> (i / 32) & 1;
        out[i] = scale * static_cast<float>((crumb(block.qs, i) | high << 2) - 4);
      }
    }
  }

  static void encode(const float* x, Block& block) noexcept {
    std::array<std::uint8_t, kSuperBlock> codes;
    std::array<float, 16> scales;
    for (std::size_t s = 0; s < 16; ++s) scales[s] = fit_by_turns(x + 16 * s, codes.data() + 16 * s);

    block = {};
    const float max = extreme(scales.data(), scales.size());
    if (max != 0) {
      const float codes_per_unit = -32 / max;
      block.d = half_from_float(1 / codes_per_unit);
      for (std::size_t s = 0; s < 16; ++s) set_scale(block, s, nearest_code(codes_per_unit * scales[s], -32, 31));
    }
    for (std::size_t s = 0; s < 16; ++s) {
      const float scale = half_to_float(block.d) * static_cast<float>(scale_of(block, s));
      if (scale == 0) continue;
      for (std::size_t i = 16 * s; i < 16 * s + 16; ++i)
        codes[i] = static_cast<std::uint8_t>(nearest_code(x[i] / scale, -4, 3) + 4);
    }
    pack_crumbs(codes.data(), block.qs);
    for (std::size_t i = 0; i < kSuperBlock; ++i)
      block.hmask[i % 32] = static_cast<std::uint8_t>(block.hmask[i % 32] | codes[i] >> 2 << (i / 32));
  }

  // Fits x ≈ scale * (code - 4) to 16 values under weights x²: from the rounding on, each code in turn moves to where
  // it is best given all others, at most five times round. Returns the scale, which may be negative.
  static float fit_by_turns(const float* x, std::uint8_t* codes) noexcept {
    const float max = extreme(x, 16);
    if (std::abs(max) < kNegligible) {
      std::fill_n(codes, 16, std::uint8_t{0});
      return 0;
    }
    std::array<int, 16> levels;
    ScaleSums sums;
    for (std::size_t i = 0; i < 16; ++i) {
      levels[i] = nearest_code(-4 / max * x[i], -4, 3);
      sums.add(x[i] * x[i], x[i], static_cast<float>(levels[i]));
    }
    bool moved = true;
    for (int turn = 0; turn < 5 && moved; ++turn) {
      moved = false;
      for (std::size_t i = 0; i < 16; ++i) {
        ScaleSums others = sums;
        others.add(-(x[i] * x[i]), x[i], static_cast<float>(levels[i]));
        if (!(others.xl > 0)) continue;
        const int level = nearest_code(x[i] * others.ll / others.xl, -4, 3);
        if (level == levels[i]) continue;
        others.add(x[i] * x[i], x[i], static_cast<float>(level));
        if (!(others.ll > 0 && others.xl * others.xl * sums.ll > sums.xl * sums.xl * others.ll)) continue;
        sums = others;
        levels[i] = level;
        moved = true;
      }
    }
    for (std::size_t i = 0; i < 16; ++i) codes[i] = static_cast<std::uint8_t>(levels[i] + 4);
    return sums.xl / sums.ll;
  }
};

}  // namespace carat
