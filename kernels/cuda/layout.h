// How rows of weights lie on the device: the bytes of the file, those of each block that can be read sixteen at a time
// brought together in front, those that cannot behind them. So all large loads are aligned.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>

#include "kernels/tensor.h"

namespace carat::cuda {

// Of a block in a file: bytes [front_at, front_at + front), a multiple of 16 where the type has blocks. The others lie
// on one side of them.
struct BlockParts {
  std::size_t front_at, front;
};
inline constexpr std::array<BlockParts, kDTypeCount> kBlockParts = {{
    {0, 4},    // f32
    {0, 2},    // f16
    {0, 2},    // bf16
    {2, 16},   // q4_0: behind d
    {4, 16},   // q4_1: behind d and m
    {6, 16},   // q5_0: behind d and qh
    {8, 16},   // q5_1: behind d, m and qh
    {2, 32},   // q8_0: behind d
    {0, 80},   // q2_k: scales and qs; d and dmin follow
    {0, 96},   // q3_k: hmask and qs; scales and d follow
    {0, 144},  // q4_k
    {0, 176},  // q5_k
    {0, 208},  // q6_k: ql, qh and scales; d follows
    {2, 16},   // iq4_nl: behind d
    {8, 128},  // iq4_xs: behind d and scales
    {0, 1},    // sfp
}};
constexpr BlockParts block_parts(DType type) { return kBlockParts[static_cast<std::size_t>(type)]; }
constexpr std::size_t rest_bytes(DType type) { return info(type).bytes - block_parts(type).front; }

static_assert([] {
  for (const DTypeInfo& type : kDTypes) {
    const BlockParts parts = block_parts(type.id);
    if (type.block > 1 && parts.front % 16 != 0) return false;
    if (parts.front_at != 0 && parts.front_at + parts.front != type.bytes) return false;
  }
  return true;
}());

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }
constexpr std::size_t parts(std::size_t whole, std::size_t part) { return (whole + part - 1) / part; }

// From the beginning of a row to the bytes that are left over of its blocks, and to the next row. Rows end in zeros.
constexpr std::size_t rest_at(DType type, std::size_t cols) {
  return round_up(cols / info(type).block * block_parts(type).front, 16);
}
constexpr std::size_t device_row_bytes(DType type, std::size_t cols) {
  return round_up(rest_at(type, cols) + cols / info(type).block * rest_bytes(type), 16);
}

// One row as a file has it -> as the device reads it: device_row_bytes(type, cols).
inline void arrange_row(DType type, std::size_t cols, const std::byte* row, std::byte* out) {
  const BlockParts part = block_parts(type);
  const std::size_t blocks = cols / info(type).block, bytes = info(type).bytes, rest = rest_bytes(type);
  std::memset(out, 0, device_row_bytes(type, cols));
  if (rest == 0) {
    std::memcpy(out, row, blocks * bytes);
    return;
  }
  std::byte* const behind = out + rest_at(type, cols);
  const std::size_t other_at = part.front_at == 0 ? part.front : 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    std::memcpy(out + b * part.front, row + b * bytes + part.front_at, part.front);
    std::memcpy(behind + b * rest, row + b * bytes + other_at, rest);
  }
}

}  // namespace carat::cuda
