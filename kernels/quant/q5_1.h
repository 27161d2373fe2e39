// q5_1: 32 codes of 5 bits, x = code * d + m.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/packing.h"
#include "kernels/quant/rounding.h"

namespace carat {

struct Q5_1 {
  using Block = BlockQ5_1;
  static constexpr DType dtype = DType::q5_1;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b) decode(blocks[b], out + b * kBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b) encode(x + b * kBlock, blocks[b]);
  }

 private:
  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    const float m = half_to_float(block.m);
    for (std::size_t i = 0; i < kBlock / 2; ++i) {
      const int low = (block.qs[i] & 15) | fifth_bit(block.qh, i);
      const int high = block.qs[i] >> 4 | fifth_bit(block.qh, i + kBlock / 2);
      out[i] = static_cast<float>(low) * d + m;
      out[i + kBlock / 2] = static_cast<float>(high) * d + m;
    }
  }

  static void encode(const float* x, Block& block) noexcept {
    const auto [min, max] = extent(x, kBlock);
    const float d = (max - min) / 31;
    const float id = inverse(d);
    std::array<std::uint8_t, kBlock> codes;
    for (std::size_t i = 0; i < kBlock; ++i)
      codes[i] = static_cast<std::uint8_t>(bounded((x[i] - min) * id + 0.5f, 0, 31));
    block.d = half_from_float(d);
    block.m = half_from_float(min);
    pack_fifth_bits(codes.data(), block.qh);
    pack_nibbles(codes.data(), block.qs);
  }
};

}  // namespace carat
