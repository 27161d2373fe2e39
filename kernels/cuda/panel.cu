// Prompts: tiles of weights and of tokens in half precision, multiplied by tensor cores with sums in float. Eleven bits
// of both sides: tokens are brought to half's range by a power of two each, weights lie in it.
#include <mma.h>

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/decode.cuh"
#include "kernels/cuda/for_type.h"

namespace carat::cuda {
namespace {

constexpr unsigned kTileRows = 64, kTileTokens = 64, kTileDepth = 64;
constexpr unsigned kStride = kTileDepth + 8;  // of halves: rows begin in other banks
constexpr unsigned kOutStride = kTileRows + 4;
constexpr unsigned kThreads = 128;  // four warps, a quarter of the tile each
constexpr unsigned kPackThreads = 256;
constexpr float kLargestHalf = 65504;

// The exponent of the largest value becomes 2^14: it stays in range, and what is a 2^28th of it is still exact to half.
__global__ void pack_tokens(Pack a) {
  __shared__ float largest_of[kPackThreads / 32];
  const float* const x = a.x + std::size_t{blockIdx.x} * a.cols;
  float largest = 0;
  for (unsigned i = threadIdx.x; i < a.cols; i += kPackThreads) largest = fmaxf(largest, fabsf(x[i]));
  for (int distance = 16; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, distance));
  if (threadIdx.x % 32 == 0) largest_of[threadIdx.x / 32] = largest;
  __syncthreads();
  for (unsigned i = 0; i < kPackThreads / 32; ++i) largest = fmaxf(largest, largest_of[i]);
  // 2^(14 - e) for a largest value of 2^e and more, by its bits; as far as both powers are normal floats.
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127;
  const int shift = largest > 0 ? (exponent > 126 ? -112 : exponent < -100 ? 114 : 14 - exponent) : 0;
  const float up = __uint_as_float(static_cast<unsigned>(127 + shift) << 23);
  for (unsigned i = threadIdx.x; i < a.depth; i += kPackThreads)
    a.packed[std::size_t{blockIdx.x} * a.depth + i] = __half_as_ushort(__float2half_rn(i < a.cols ? x[i] * up : 0.0f));
  if (threadIdx.x == 0) a.factor[blockIdx.x] = __uint_as_float(static_cast<unsigned>(127 - shift) << 23);
}

template <DType type>
__device__ void fill_weights(half* tile, const Weight& w, unsigned first_row, unsigned first_col) {
  using Decoded = Decoder<type>;
  constexpr unsigned in_row = kTileDepth / Decoded::kSize;
  const unsigned units = (w.cols + Decoded::kSize - 1) / Decoded::kSize;
  for (unsigned i = threadIdx.x; i < kTileRows * in_row; i += kThreads) {
    const unsigned row = first_row + i / in_row, unit = first_col / Decoded::kSize + i % in_row;
    half* const to = tile + i / in_row * kStride + i % in_row * Decoded::kSize;
    if (row >= w.rows || unit >= units) {
      for (unsigned j = 0; j < Decoded::kSize; ++j) to[j] = __ushort_as_half(0);
      continue;
    }
    const Bytes front = w.at + row * w.row_bytes;
    const Decoded decoded(RowAt{front, front + w.rest_at}, unit);
#pragma unroll
    for (unsigned j = 0; j < Decoded::kSize; ++j)
      to[j] = __float2half_rn(fminf(fmaxf(decoded.value(j), -kLargestHalf), kLargestHalf));
  }
}

__device__ void fill_tokens(half* tile, const PanelProduct& a, unsigned first_token, unsigned first_col) {
  constexpr unsigned in_row = kTileDepth / 8;  // of 16 bytes
  for (unsigned i = threadIdx.x; i < kTileTokens * in_row; i += kThreads) {
    const unsigned token = first_token + i / in_row, col = first_col + i % in_row * 8;
    uint4 eight = {0, 0, 0, 0};
    if (token < a.tokens) eight = load16(reinterpret_cast<Bytes>(a.packed + std::size_t{token} * a.depth + col));
    *reinterpret_cast<uint4*>(tile + i / in_row * kStride + i % in_row * 8) = eight;
  }
}

template <DType type>
__global__ void __launch_bounds__(kThreads) panel_product(PanelProduct a) {
  namespace wmma = nvcuda::wmma;
  // Tiles begin at multiples of 32 bytes, as the tensor cores want them.
  alignas(32) __shared__ uint4 weight_words[kTileRows * kStride / 8];
  alignas(32) __shared__ uint4 token_words[kTileTokens * kStride / 8];
  alignas(32) __shared__ float4 out_words[kTileTokens * kOutStride / 4];
  half *const weights = reinterpret_cast<half*>(weight_words), *const tokens = reinterpret_cast<half*>(token_words);
  float* const out = reinterpret_cast<float*>(out_words);
  const unsigned first_row = blockIdx.x * kTileRows, first_token = blockIdx.y * kTileTokens;
  const unsigned warp = threadIdx.x / 32, warp_row = warp % 2 * 32, warp_token = warp / 2 * 32;

  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[2][2];
  for (auto& of_tokens : sums)
    for (auto& sum : of_tokens) wmma::fill_fragment(sum, 0.0f);
  for (unsigned col = 0; col < a.depth; col += kTileDepth) {
    fill_weights<type>(weights, a.w, first_row, col);
    fill_tokens(tokens, a, first_token, col);
    __syncthreads();
#pragma unroll
    for (unsigned k = 0; k < kTileDepth; k += 16) {
      wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> of_tokens[2];
      wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> of_rows[2];
#pragma unroll
      for (unsigned i = 0; i < 2; ++i) {
        wmma::load_matrix_sync(of_tokens[i], tokens + (warp_token + 16 * i) * kStride + k, kStride);
        wmma::load_matrix_sync(of_rows[i], weights + (warp_row + 16 * i) * kStride + k, kStride);
      }
#pragma unroll
      for (unsigned i = 0; i < 4; ++i)
        wmma::mma_sync(sums[i / 2][i % 2], of_tokens[i / 2], of_rows[i % 2], sums[i / 2][i % 2]);
    }
    __syncthreads();
  }
#pragma unroll
  for (unsigned i = 0; i < 4; ++i)
    wmma::store_matrix_sync(out + (warp_token + 16 * (i / 2)) * kOutStride + warp_row + 16 * (i % 2),
                            sums[i / 2][i % 2], kOutStride, wmma::mem_row_major);
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kTileTokens * kTileRows; i += kThreads) {
    const unsigned token = first_token + i / kTileRows, row = first_row + i % kTileRows;
    if (token < a.tokens && row < a.w.rows)
      a.out[std::size_t{token} * a.w.rows + row] =
          out[i / kTileRows * kOutStride + i % kTileRows] * a.factor[token] * a.w.scale;
  }
}

}  // namespace

std::uint32_t packed_depth(std::size_t cols) { return static_cast<std::uint32_t>(round_up(cols, kTileDepth)); }

Launch pack(std::uint32_t tokens, const Pack& a) { return launch(pack_tokens, dim3(tokens), kPackThreads, a); }

Launch multiply_panel(DType type, const PanelProduct& a) {
  const dim3 grid(static_cast<unsigned>(parts(a.w.rows, kTileRows)),
                  static_cast<unsigned>(parts(a.tokens, kTileTokens)));
  return for_type(type,
                  [&](auto constant) { return launch(panel_product<decltype(constant)::value>, grid, kThreads, a); });
}

}  // namespace carat::cuda
