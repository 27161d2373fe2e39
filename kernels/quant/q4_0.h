// q4_0: 32 codes of 4 bits, x = (code - 8) * d.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/packing.h"
#include "kernels/quant/rounding.h"

namespace carat {

struct Q4_0 {
  using Block = BlockQ4_0;
  static constexpr DType dtype = DType::q4_0;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b) decode(blocks[b], out + b * kBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b) encode(x + b * kBlock, blocks[b]);
  }

 private:
  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    for (std::size_t i = 0; i < kBlock / 2; ++i) {
      out[i] = static_cast<float>((block.qs[i] & 15) - 8) * d;
      out[i + kBlock / 2] = static_cast<float>((block.qs[i] >> 4) - 8) * d;
    }
  }

  // The extreme value becomes code 0, that is -8; the codes come from d before it is rounded; halves round up.
  // A block of zeros gets d = -0.
  static void encode(const float* x, Block& block) noexcept {
    const float d = extreme(x, kBlock) / -8;
    const float id = inverse(d);
    std::array<std::uint8_t, kBlock> codes;
    for (std::size_t i = 0; i < kBlock; ++i) codes[i] = static_cast<std::uint8_t>(bounded(x[i] * id + 8.5f, 0, 15));
    block.d = half_from_float(d);
    pack_nibbles(codes.data(), block.qs);
  }
};

}  // namespace carat
