// q8_0: 32 codes of 8 bits, x = code * d.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/rounding.h"

namespace carat {

struct Q8_0 {
  using Block = BlockQ8_0;
  static constexpr DType dtype = DType::q8_0;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b) decode(blocks[b], out + b * kBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kBlock; ++b) encode(x + b * kBlock, blocks[b]);
  }

 private:
  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    for (std::size_t i = 0; i < kBlock; ++i) out[i] = block.qs[i] * d;
  }

  // The codes come from d before it is rounded; ties round away from zero. Code -128 is never written.
  static void encode(const float* x, Block& block) noexcept {
    const float d = std::abs(extreme(x, kBlock)) / 127;
    const float id = inverse(d);
    block.d = half_from_float(d);
    for (std::size_t i = 0; i < kBlock; ++i)
      block.qs[i] = static_cast<std::int8_t>(bounded(std::round(x[i] * id), -127, 127));
  }
};

}  // namespace carat
