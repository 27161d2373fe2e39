// Elements of the cache, whatever it is kept in.
#pragma once
#include "kernels/cuda/arguments.h"
#include "kernels/cuda/decode.cuh"

namespace carat::cuda {

struct Four {
  float x[4];
};

__device__ __forceinline__ float load_one(const CacheSide& side, const std::uint8_t* row, unsigned at) {
  if (side.dtype == DType::f32) return reinterpret_cast<const float*>(row)[at];
  if (side.dtype == DType::q8_0) {
    const std::uint8_t* const block = row + 34 * (at / 32);
    return load_half(block) * code_less<128>(block[2 + at % 32] ^ 128u);
  }
  const unsigned bits = load2(row + 2 * at);
  return side.dtype == DType::f16 ? half_bits(bits) : bf16_bits(bits);
}

// Elements [at, at + 4) of a row; those from `end` on are 0.
__device__ __forceinline__ Four load_four(const CacheSide& side, std::size_t slot, unsigned at, unsigned end) {
  const std::uint8_t* const row = side.at + slot * side.row_bytes;
  const bool in_pairs = side.dtype == DType::f16 || side.dtype == DType::bf16;
  Four four;
  if (in_pairs && at % 4 == 0 && side.row_bytes % 8 == 0 && at + 4 <= end) {
    const uint2 w = *reinterpret_cast<const uint2*>(row + 2 * at);
    const unsigned bits[4] = {w.x & 0xFFFFu, w.x >> 16, w.y & 0xFFFFu, w.y >> 16};
    for (unsigned i = 0; i < 4; ++i) four.x[i] = side.dtype == DType::f16 ? half_bits(bits[i]) : bf16_bits(bits[i]);
    return four;
  }
  for (unsigned i = 0; i < 4; ++i) four.x[i] = at + i < end ? load_one(side, row, at + i) : 0.0f;
  return four;
}

}  // namespace carat::cuda
