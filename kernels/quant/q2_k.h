// q2_k: 16 sub-blocks of 16 codes of 2 bits, x = (d * scale) * code - (dmin * min) with scales and minima of 4 bits.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/packing.h"
#include "kernels/quant/super_block.h"

namespace carat {

struct Q2_K {
  using Block = BlockQ2_K;
  static constexpr DType dtype = DType::q2_k;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) decode(blocks[b], out + b * kSuperBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) encode(x + b * kSuperBlock, blocks[b]);
  }

 private:
  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    const float dmin = half_to_float(block.dmin);
    for (std::size_t s = 0; s < 16; ++s) {
      const float scale = d * static_cast<float>(block.scales[s] & 15);
      const float min = dmin * static_cast<float>(block.scales[s] >> 4);
      for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) out[i] = scale * static_cast<float>(crumb(block.qs, i)) - min;
    }
  }

  static void encode(const float* x, Block& block) noexcept {
    const auto weigh = [](std::span<const float> values, std::span<float> weights) {
      for (std::size_t i = 0; i < values.size(); ++i) weights[i] = std::abs(values[i]);
    };
    const AffineSearch search{-0.5f, 15, AffineSearch::Error::absolute};
    const SuperBlock<16> fit = fit_super_block<16>(x, 3, 15, search, weigh);
    block.d = fit.scales.d;
    block.dmin = fit.mins.d;
    for (std::size_t s = 0; s < 16; ++s)
      block.scales[s] = static_cast<std::uint8_t>(fit.scales.codes[s] | fit.mins.codes[s] << 4);
    pack_crumbs(fit.codes.data(), block.qs);
  }
};

}  // namespace carat
