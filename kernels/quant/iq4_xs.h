// iq4_xs: 8 sub-blocks of 32 codes as in iq4_nl, x = (d * (scale - 32)) * kIq4Values[code] with scales of 6 bits.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/iq4_nl.h"

namespace carat {

struct IQ4_XS {
  using Block = BlockIQ4_XS;
  static constexpr DType dtype = DType::iq4_xs;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) decode(blocks[b], out + b * kSuperBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) encode(x + b * kSuperBlock, blocks[b]);
  }

 private:
  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    for (std::size_t j = 0; j < 8; ++j) {
      const int low = block.scales_l[j / 2] >> (j % 2 * 4) & 15;
      const int high = block.scales_h >> (2 * j) & 3;
      const float scale = d * static_cast<float>((low | high << 4) - 32);
      decode_iq4(block.qs + 16 * j, scale, out + 32 * j);
    }
  }

  // The extreme scale becomes -32; the codes come from d before it is rounded.
  static void encode(const float* x, Block& block) noexcept {
    std::array<float, 8> scales;
    for (std::size_t j = 0; j < 8; ++j) scales[j] = fit_iq4(x + 32 * j);
    const float d = -extreme(scales.data(), scales.size()) / 32;
    const float id = inverse(d);
    block = {};
    block.d = half_from_float(d);
    for (std::size_t j = 0; j < 8; ++j) {
      const int scale = nearest_code(id * scales[j], -32, 31);
      encode_iq4(x + 32 * j, d * static_cast<float>(scale), block.qs + 16 * j);
      const int code = scale + 32;
      std::uint8_t& low = block.scales_l[j / 2];
      low = static_cast<std::uint8_t>(low | (code & 15) << (j % 2 * 4));
      block.scales_h = static_cast<std::uint16_t>(block.scales_h | code >> 4 << (2 * j));
    }
  }
};

}  // namespace carat
