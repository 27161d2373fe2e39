// q4_k: 8 sub-blocks of 32 codes of 4 bits, x = (d * scale) * code - (dmin * min) with scales and minima of 6 bits.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/packing.h"
#include "kernels/quant/super_block.h"

namespace carat {

struct Q4_K {
  using Block = BlockQ4_K;
  static constexpr DType dtype = DType::q4_k;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) decode(blocks[b], out + b * kSuperBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) encode(x + b * kSuperBlock, blocks[b]);
  }

 private:
  // Two sub-blocks share 32 bytes: the even one has the low halves, the odd one the high halves.
  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    const float dmin = half_to_float(block.dmin);
    for (std::size_t j = 0; j < 8; ++j) {
      const SubScale sub = unpack_sub_scale(block.scales, j);
      const float scale = d * sub.scale;
      const float min = dmin * sub.min;
      const std::uint8_t* qs = block.qs + j / 2 * 32;
      const std::size_t shift = j % 2 * 4;
      for (std::size_t i = 0; i < 32; ++i) out[32 * j + i] = scale * static_cast<float>(qs[i] >> shift & 15) - min;
    }
  }

  static void encode(const float* x, Block& block) noexcept {
    const AffineSearch search{-1.0f, 20, AffineSearch::Error::squared};
    const SuperBlock<8> fit = fit_super_block<8>(x, 15, 63, search, weigh_above_rms);
    block.d = fit.scales.d;
    block.dmin = fit.mins.d;
    pack_sub_scales(fit.scales.codes.data(), fit.mins.codes.data(), block.scales);
    pack_nibble_pairs(fit.codes.data(), block.qs);
  }
};

}  // namespace carat
