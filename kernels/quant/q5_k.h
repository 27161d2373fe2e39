// q5_k: 8 sub-blocks of 32 codes of 5 bits, x = (d * scale) * code - (dmin * min) with scales and minima of 6 bits.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/packing.h"
#include "kernels/quant/super_block.h"

namespace carat {

struct Q5_K {
  using Block = BlockQ5_K;
  static constexpr DType dtype = DType::q5_k;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) decode(blocks[b], out + b * kSuperBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) encode(x + b * kSuperBlock, blocks[b]);
  }

 private:
  // Low halves as in q4_k; bit 4 of code i of sub-block j is bit j of qh[i].
  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    const float dmin = half_to_float(block.dmin);
    for (std::size_t j = 0; j < 8; ++j) {
      const SubScale sub = unpack_sub_scale(block.scales, j);
      const float scale = d * sub.scale;
      const float min = dmin * sub.min;
      const std::uint8_t* qs = block.qs + j / 2 * 32;
      const std::size_t shift = j % 2 * 4;
      for (std::size_t i = 0; i < 32; ++i) {
        const int code = (qs[i] >> shift & 15) | (block.qh[i] >> j & 1) << 4;
        out[32 * j + i] = scale * static_cast<float>(code) - min;
      }
    }
  }

  static void encode(const float* x, Block& block) noexcept {
    const AffineSearch search{-0.5f, 15, AffineSearch::Error::squared};
    const SuperBlock<8> fit = fit_super_block<8>(x, 31, 63, search, weigh_above_rms);
    block = {};
    block.d = fit.scales.d;
    block.dmin = fit.mins.d;
    pack_sub_scales(fit.scales.codes.data(), fit.mins.codes.data(), block.scales);
    pack_nibble_pairs(fit.codes.data(), block.qs);
    for (std::size_t i = 0; i < kSuperBlock; ++i)
      block.qh[i % 32] = static_cast<std::uint8_t>(block.qh[i % 32] | fit.codes[i] >> 4 << (i / 32));
  }
};

}  // namespace carat
