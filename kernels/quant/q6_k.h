// q6_k: 16 sub-blocks of 16 codes of 6 bits, x = (d * scale) * (code - 32) with scales of 8 bits.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/quant/fit.h"

namespace carat {

struct Q6_K {
  using Block = BlockQ6_K;
  static constexpr DType dtype = DType::q6_k;

  static void dequantize_row(const Block* blocks, float* out, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) decode(blocks[b], out + b * kSuperBlock);
  }
  static void quantize_row(const float* x, Block* blocks, std::size_t n) noexcept {
    for (std::size_t b = 0; b < n / kSuperBlock; ++b) encode(x + b * kSuperBlock, blocks[b]);
  }

 private:
  // Where code i lies. Each half of 128 codes has 64 bytes of ql and 32 of qh; its four quarters of 32 take the low
  // nibbles of both rows of ql, then the high ones, and in qh bits 0-1, 2-3, 4-5, 6-7.
  struct Place {
    std::size_t ql;
    std::size_t ql_shift;
    std::size_t qh;
    std::size_t qh_shift;
  };
  static constexpr Place place(std::size_t i) noexcept {
    const std::size_t half = i / 128;
    const std::size_t quarter = i % 128 / 32;
    return {64 * half + quarter % 2 * 32 + i % 32, quarter / 2 * 4, 32 * half + i % 32, quarter * 2};
  }

  static void decode(const Block& block, float* out) noexcept {
    const float d = half_to_float(block.d);
    for (std::size_t s = 0; s < 16; ++s) {
      const float scale = d * block.scales[s];
      for (std::size_t i = 16 * s; i < 16 * s + 16; ++i) {
        const Place at = place(i);
        const int code = (block.ql[at.ql] >> at.ql_shift & 15) | (block.qh[at.qh] >> at.qh_shift & 3) << 4;
        out[i] = scale * static_cast<float>(code - 32);
      }
    }
  }

  // The extreme scale becomes -128; the values are rounded anew with the scales as a reader will see them.
  static void encode(const float* x, Block& block) noexcept {
    std::array<std::uint8_t, kSuperBlock> codes;
    std::array<float, 16> scales;
    for (std::size_t s = 0; s < 16; ++s)
      scales[s] = fit_symmetric(std::span<const float, 16>(x + 16 * s, 16),
                                std::span<std::uint8_t, 16>(codes.data() + 16 * s, 16));
    block = {};
    const float max = extreme(scales.data(), scales.size());
    if (std::abs(max) < kNegligible) return;
    const float codes_per_unit = -128 / max;
    block.d = half_from_float(1 / codes_per_unit);
    for (std::size_t s = 0; s < 16; ++s) {
      block.scales[s] = static_cast<std::int8_t>(nearest_code(codes_per_unit * scales[s], -128, 127));
      const float scale = half_to_float(block.d) * block.scales[s];
      if (scale == 0) continue;
      for (std::size_t i = 16 * s; i < 16 * s + 16; ++i)
        codes[i] = static_cast<std::uint8_t>(nearest_code(x[i] / scale, -32, 31) + 32);
    }
    for (std::size_t i = 0; i < kSuperBlock; ++i) {
      const Place at = place(i);
      block.ql[at.ql] = static_cast<std::uint8_t>(block.ql[at.ql] | (codes[i] & 15) << at.ql_shift);
      block.qh[at.qh] = static_cast<std::uint8_t>(block.qh[at.qh] | codes[i] >> 4 << at.qh_shift);
    }
  }
};

}  // namespace carat
