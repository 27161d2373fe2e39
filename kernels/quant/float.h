// Codecs of the types that are not quantised: f32, f16, bf16. One element is a block.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/half.h"

namespace carat {

struct F32 {
  using Block = float;
  static constexpr DType dtype = DType::f32;

  static void dequantize_row(const Block* row, float* out, std::size_t n) noexcept { std::copy_n(row, n, out); }
  static void quantize_row(const float* x, Block* row, std::size_t n) noexcept { std::copy_n(x, n, row); }
};

struct F16 {
  using Block = std::uint16_t;
  static constexpr DType dtype = DType::f16;

  static void dequantize_row(const Block* row, float* out, std::size_t n) noexcept {
    std::transform(row, row + n, out, half_to_float);
  }
  static void quantize_row(const float* x, Block* row, std::size_t n) noexcept {
    std::transform(x, x + n, row, half_from_float);
  }
};

struct BF16 {
  using Block = std::uint16_t;
  static constexpr DType dtype = DType::bf16;

  static void dequantize_row(const Block* row, float* out, std::size_t n) noexcept {
    std::transform(row, row + n, out, bf16_to_float);
  }
  static void quantize_row(const float* x, Block* row, std::size_t n) noexcept {
    std::transform(x, x + n, row, bf16_from_float);
  }
};

}  // namespace carat
