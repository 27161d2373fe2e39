// Attention of prompts on tensor cores: a block takes 32 tokens of one head and what they see, 32 positions at a time.
// It goes over the keys twice: the largest score of each token is known before the first weight is made, so that the
// sums of values stay where the tensor cores have them.
#include <mma.h>

#include <cmath>

#include "kernels/cuda/cached.cuh"

namespace carat::cuda {
namespace {

namespace wmma = nvcuda::wmma;

constexpr unsigned kThreads = 128;
constexpr unsigned kTokens = 32, kKeys = 32;
constexpr unsigned kStride = kMaxTileHeadDim + 8;  // of halves: rows begin in other banks
constexpr unsigned kScoreStride = kKeys + 4, kWeightStride = kKeys + 8;
constexpr unsigned kOutStride = kMaxTileHeadDim;
constexpr unsigned kInRow = kThreads / kTokens;  // threads that share a token's scores
constexpr unsigned kMine = kKeys / kInRow;       // scores of a thread
constexpr float kNothing = -INFINITY;

using Sums = wmma::fragment<wmma::accumulator, 16, 16, 16, float>;

// Tiles begin at multiples of 32 bytes, as the tensor cores want them.
struct Shared {
  // Queries and keys or values [kTokens or kKeys, kStride], as halves; in the end the result, as floats.
  alignas(32) uint4 words[(kTokens + kKeys) * kStride / 8];
  alignas(32) float4 scores[kTokens * kScoreStride / 4];
  alignas(32) uint4 weights[kTokens * kWeightStride / 8];

  __device__ half* queries() { return reinterpret_cast<half*>(words); }
  __device__ half* cached() { return queries() + kTokens * kStride; }
  __device__ float* result() { return reinterpret_cast<float*>(words); }
  __device__ float* score() { return reinterpret_cast<float*>(scores); }
  __device__ half* weight() { return reinterpret_cast<half*>(weights); }
};
static_assert(sizeof(Shared::words) >= kTokens * kOutStride * sizeof(float));

// The positions that a block looks at, and those that its tokens see.
struct Sight {
  unsigned first_token, first, last;  // token of the run; positions

  __device__ explicit Sight(const AttendTiles& a) {
    first_token = blockIdx.x * kTokens;
    const unsigned end = first_token + kTokens < a.tokens ? first_token + kTokens : a.tokens;
    last = a.position + end - 1;
    first = oldest(a, a.position + first_token);
  }
  __device__ static unsigned oldest(const AttendTiles& a, unsigned position) {
    return a.window > 0 && position + 1 > a.window ? position + 1 - a.window : 0;
  }
  __device__ bool sees(const AttendTiles& a, unsigned token, unsigned key) const {
    const unsigned position = a.position + first_token + token;
    return first_token + token < a.tokens && key <= position && key >= oldest(a, position);
  }
};

__device__ void load_queries(const AttendTiles& a, const Sight& sight, Shared& s, unsigned depth) {
  for (unsigned i = threadIdx.x; i < kTokens * depth; i += kThreads) {
    const unsigned token = sight.first_token + i / depth, d = i % depth;
    const bool there = token < a.tokens && d < a.head_dim;
    const std::size_t from = (std::size_t{token} * a.heads + blockIdx.y) * a.head_dim + d;
    s.queries()[i / depth * kStride + d] = __float2half_rn(there ? a.q[from] : 0.0f);
  }
}

// Keys or values of positions from `first` on; zeros behind the last that is looked at.
__device__ void load_cached(const AttendTiles& a, const CacheSide& side, const Sight& sight, Shared& s, unsigned depth,
                            unsigned first) {
  const unsigned head_at = blockIdx.y / (a.heads / a.kv_heads) * a.head_dim, fours = depth / 4;
  for (unsigned i = threadIdx.x; i < kKeys * fours; i += kThreads) {
    const unsigned key = first + i / fours, d = i % fours * 4;
    half* const to = s.cached() + i / fours * kStride + d;
    Four four = {};
    if (key <= sight.last) four = load_four(side, a.first_slot + key % a.slots, head_at + d, head_at + a.head_dim);
    for (unsigned j = 0; j < 4; ++j) to[j] = __float2half_rn(four.x[j]);
  }
}

// This thread's scores of the keys in shared memory, -infinity for those that its token does not see. A warp makes a
// quarter of them.
__device__ void score(const AttendTiles& a, const Sight& sight, Shared& s, unsigned depth, unsigned first,
                      float (&scores)[kMine]) {
  const unsigned warp = threadIdx.x / 32, token_at = warp / 2 * 16, key_at = warp % 2 * 16;
  Sums sums;
  wmma::fill_fragment(sums, 0.0f);
  for (unsigned d = 0; d < depth; d += 16) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> queries;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> keys;
    wmma::load_matrix_sync(queries, s.queries() + token_at * kStride + d, kStride);
    wmma::load_matrix_sync(keys, s.cached() + key_at * kStride + d, kStride);
    wmma::mma_sync(sums, queries, keys, sums);
  }
  wmma::store_matrix_sync(s.score() + token_at * kScoreStride + key_at, sums, kScoreStride, wmma::mem_row_major);
  __syncthreads();
  const unsigned token = threadIdx.x / kInRow, from = threadIdx.x % kInRow * kMine;
  for (unsigned i = 0; i < kMine; ++i) {
    float x = s.score()[token * kScoreStride + from + i] * a.scale;
    if (a.soft_cap > 0) x = a.soft_cap * tanhf(x / a.soft_cap);
    scores[i] = sight.sees(a, token, first + from + i) ? x : kNothing;
  }
}

// Over the threads of a token.
__device__ __forceinline__ float reduce(float x, bool sums) {
  for (int distance = 1; distance < static_cast<int>(kInRow); distance *= 2) {
    const float other = __shfl_xor_sync(0xFFFFFFFFu, x, distance);
    x = sums ? x + other : fmaxf(x, other);
  }
  return x;
}

__device__ float largest_score(const AttendTiles& a, const Sight& sight, Shared& s, unsigned depth) {
  float largest = kNothing;
  for (unsigned first = sight.first; first <= sight.last; first += kKeys) {
    load_cached(a, a.k, sight, s, depth, first);
    __syncthreads();
    float scores[kMine];
    score(a, sight, s, depth, first, scores);
    for (const float x : scores) largest = fmaxf(largest, x);
    __syncthreads();
  }
  return reduce(largest, false);
}

// Adds weights times values: a warp has a quarter of the elements, all tokens of them. [0, 4) and [4, 8): 16 tokens
// each.
__device__ void add_values(Shared& s, unsigned depth, Sums (&sums)[8]) {
  const unsigned at = threadIdx.x / 32 * (depth / 4), tiles = depth / 64;
#pragma unroll
  for (unsigned key = 0; key < kKeys; key += 16) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> weights[2];
    wmma::load_matrix_sync(weights[0], s.weight() + key, kWeightStride);
    wmma::load_matrix_sync(weights[1], s.weight() + 16 * kWeightStride + key, kWeightStride);
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if (i >= tiles) break;
      wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> values;
      wmma::load_matrix_sync(values, s.cached() + key * kStride + at + 16 * i, kStride);
      wmma::mma_sync(sums[i], weights[0], values, sums[i]);
      wmma::mma_sync(sums[4 + i], weights[1], values, sums[4 + i]);
    }
  }
}

__device__ void write_out(const AttendTiles& a, const Sight& sight, Shared& s, unsigned depth, Sums (&sums)[8],
                          float all) {
  const unsigned at = threadIdx.x / 32 * (depth / 4), tiles = depth / 64;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {
    if (i >= tiles) break;
    wmma::store_matrix_sync(s.result() + at + 16 * i, sums[i], kOutStride, wmma::mem_row_major);
    wmma::store_matrix_sync(s.result() + 16 * kOutStride + at + 16 * i, sums[4 + i], kOutStride, wmma::mem_row_major);
  }
  __syncthreads();
  const unsigned in_block = threadIdx.x / kInRow, token = sight.first_token + in_block;
  if (token >= a.tokens) return;
  float* const to = a.out + (std::size_t{token} * a.heads + blockIdx.y) * a.head_dim;
  for (unsigned d = threadIdx.x % kInRow; d < a.head_dim; d += kInRow)
    to[d] = s.result()[in_block * kOutStride + d] / all;
}

__global__ void __launch_bounds__(kThreads) attend_tile(AttendTiles a) {
  __shared__ Shared s;
  const Sight sight(a);
  const unsigned depth = (a.head_dim + 63) / 64 * 64;
  load_queries(a, sight, s, depth);
  const float largest = largest_score(a, sight, s, depth);
  float all = 0;
  Sums sums[8];
#pragma unroll
  for (Sums& sum : sums) wmma::fill_fragment(sum, 0.0f);
  for (unsigned first = sight.first; first <= sight.last; first += kKeys) {
    load_cached(a, a.k, sight, s, depth, first);
    __syncthreads();
    float scores[kMine];
    score(a, sight, s, depth, first, scores);
    half* const weights = s.weight() + threadIdx.x / kInRow * kWeightStride + threadIdx.x % kInRow * kMine;
    for (unsigned i = 0; i < kMine; ++i) {
      const half weight = __float2half_rn(scores[i] == kNothing ? 0.0f : expf(scores[i] - largest));
      weights[i] = weight;
      all += __half2float(weight);
    }
    __syncthreads();  // the keys have been read
    load_cached(a, a.v, sight, s, depth, first);
    __syncthreads();
    add_values(s, depth, sums);
    __syncthreads();
  }
  write_out(a, sight, s, depth, sums, reduce(all, true));
}

}  // namespace

Launch attend_tiles(const AttendTiles& a) {
  return launch(attend_tile, dim3(static_cast<unsigned>(parts(a.tokens, kTokens)), a.heads), kThreads, a);
}

}  // namespace carat::cuda
