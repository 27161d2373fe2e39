// Decoding: each warp reads rows of weights once, sixteen bytes at a time, and multiplies them by a few tokens.
#include <algorithm>

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/decode.cuh"
#include "kernels/cuda/for_type.h"

namespace carat::cuda {
namespace {

constexpr unsigned kThreads = 256, kWarps = kThreads / 32;
constexpr unsigned kRows = 2;              // of a warp at a time: what is read of the tokens serves them all
constexpr unsigned kSharedFloats = 10240;  // of the tokens: 40 KB
constexpr unsigned kManyTokens = 4;        // at a time, where there is more than one
constexpr unsigned kBlocks = 4;            // on a processor at once

// Tokens in shared memory so that the lanes of a warp, which are at consecutive units, read consecutive words:
// four values of every unit, then the next four of every unit.
template <unsigned unit, unsigned tokens>
struct Tile {
  static constexpr unsigned kUnits = kSharedFloats / (unit * tokens);

  __device__ static void fill(float* tile, const RowProducts& a, unsigned first_token, unsigned first_unit) {
    const unsigned cols = a.of[0].w.cols, first = first_unit * unit;
    for (unsigned i = threadIdx.x; i < tokens * kUnits * unit; i += kThreads) {
      const unsigned token = i / (kUnits * unit), at = i % (kUnits * unit), col = first + at;
      if (col - col % unit >= cols) continue;  // of no unit
      const bool there = first_token + token < a.tokens && col < cols;
      const std::size_t from = std::size_t{first_token + token} * cols + col;
      tile[((token * unit / 4 + at % unit / 4) * kUnits + at / unit) * 4 + at % 4] = there ? a.x[from] : 0.0f;
    }
  }

  __device__ static float4 four(const float* tile, unsigned token, unsigned quarter, unsigned at) {
    return reinterpret_cast<const float4*>(tile)[(token * unit / 4 + quarter) * kUnits + at];
  }
};

__device__ __forceinline__ float dot4(const float* code, float4 x, float sum) {
  return __fmaf_rn(code[3], x.w, __fmaf_rn(code[2], x.z, __fmaf_rn(code[1], x.y, __fmaf_rn(code[0], x.x, sum))));
}

// One unit of kRows rows times all tokens of the tile. The order of the sums of a token does not depend on the others.
template <class Decoded, unsigned tokens>
__device__ __forceinline__ void multiply_unit(const Decoded (&w)[kRows], const float* tile, unsigned at,
                                              float (&sums)[kRows * tokens]) {
  constexpr unsigned parts = Decoded::kScales == 0 ? 1 : Decoded::kScales, quarters = Decoded::kSize / 4 / parts;
#pragma unroll
  for (unsigned part = 0; part < parts; ++part) {
    float product[kRows][tokens] = {}, sum[tokens] = {};
#pragma unroll
    for (unsigned quarter = part * quarters; quarter < (part + 1) * quarters; ++quarter) {
#pragma unroll
      for (unsigned t = 0; t < tokens; ++t) {
        const float4 x = Tile<Decoded::kSize, tokens>::four(tile, t, quarter, at);
#pragma unroll
        for (unsigned r = 0; r < kRows; ++r) product[r][t] = dot4(w[r].code + 4 * quarter, x, product[r][t]);
        if constexpr (Decoded::kHasMin) sum[t] += (x.x + x.y) + (x.z + x.w);
      }
    }
#pragma unroll
    for (unsigned r = 0; r < kRows; ++r) {
#pragma unroll
      for (unsigned t = 0; t < tokens; ++t) {
        float& all = sums[r * tokens + t];
        if constexpr (Decoded::kScales == 0)
          all += product[r][t];
        else
          all = __fmaf_rn(w[r].scale[part], product[r][t], all);
        if constexpr (Decoded::kHasMin) all = __fmaf_rn(-w[r].min[part], sum[t], all);
      }
    }
  }
}

// Lane i gets the sum over the warp of x[i / (32 / n)]. In each of the first steps a lane hands over the half of its
// values that others keep; whoever keeps a sum, it is of the same pairs.
template <unsigned n>
__device__ __forceinline__ float sums_of_warp(float (&x)[n], unsigned lane) {
  unsigned distance = 16;
#pragma unroll
  for (unsigned half = n / 2; half > 0; half /= 2, distance /= 2) {
    const bool upper = (lane & distance) != 0;
#pragma unroll
    for (unsigned i = 0; i < half; ++i) {
      const float kept = upper ? x[i + half] : x[i], given = upper ? x[i] : x[i + half];
      x[i] = kept + __shfl_xor_sync(0xFFFFFFFFu, given, static_cast<int>(distance));
    }
  }
  for (; distance > 0; distance /= 2) x[0] += __shfl_xor_sync(0xFFFFFFFFu, x[0], static_cast<int>(distance));
  return x[0];
}

// A group of kRows rows of one product.
struct Group {
  const ProductOf* of;
  unsigned first;
};
__device__ __forceinline__ Group find_group(const RowProducts& a, unsigned group) {
  const ProductOf* of = a.of;
  for (; group >= (of->w.rows + kRows - 1) / kRows; ++of) group -= (of->w.rows + kRows - 1) / kRows;
  return {of, group * kRows};
}

template <DType type, unsigned tokens>
__global__ void __launch_bounds__(kThreads) row_products(RowProducts a) {
  using Decoded = Decoder<type>;
  using XTile = Tile<Decoded::kSize, tokens>;
  __shared__ float4 tile_words[kSharedFloats / 4];
  __shared__ float partial[kWarps][kRows * tokens];
  float* const tile = reinterpret_cast<float*>(tile_words);
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const unsigned part = warp % a.split, in_block = kWarps / a.split, step = 32 * a.split;
  const unsigned units = (a.of[0].w.cols + Decoded::kSize - 1) / Decoded::kSize;
  const unsigned first_token = blockIdx.y * tokens;
  unsigned held = ~0u;  // the first unit of those in the tile

  for (unsigned base = blockIdx.x * in_block; base < a.groups; base += gridDim.x * in_block) {
    const bool there = base + warp / a.split < a.groups;
    const Group group = find_group(a, there ? base + warp / a.split : a.groups - 1);
    const Weight& w = group.of->w;
    RowAt rows[kRows];
#pragma unroll
    for (unsigned r = 0; r < kRows; ++r) {
      const std::size_t row = group.first + r < w.rows ? group.first + r : w.rows - 1;
      rows[r].front = w.at + row * w.row_bytes;
      rows[r].rest = rows[r].front + w.rest_at;
    }
    float sums[kRows * tokens] = {};
    for (unsigned first = 0; first < units; first += XTile::kUnits) {
      if (held != first) {
        __syncthreads();
        XTile::fill(tile, a, first_token, first);
        __syncthreads();
        held = first;
      }
      const unsigned end = first + XTile::kUnits < units ? first + XTile::kUnits : units;
      // A unit is always the same lane's, however the depth is cut.
      const unsigned mine = part * 32 + lane, begin = first + (mine + step - first % step) % step;
      for (unsigned u = begin; u < end; u += step) {
        const Decoded decoded[kRows] = {Decoded(rows[0], u), Decoded(rows[1], u)};
        multiply_unit<Decoded, tokens>(decoded, tile, u - first, sums);
      }
    }
    constexpr unsigned n = kRows * tokens;
    const float reduced = sums_of_warp(sums, lane);
    if (lane % (32 / n) == 0) partial[warp][lane / (32 / n)] = reduced;
    __syncthreads();
    const unsigned row = group.first + lane / tokens, token = first_token + lane % tokens;
    if (there && part == 0 && lane < n && row < w.rows && token < a.tokens) {
      float sum = partial[warp][lane];
      for (unsigned i = 1; i < a.split; ++i) sum += partial[warp + i][lane];
      group.of->out[std::size_t{token} * w.rows + row] = sum * w.scale;
    }
    __syncthreads();
  }
}

}  // namespace

Launch multiply_rows(DType type, std::uint32_t processors, RowProducts a) {
  a.groups = 0;
  for (unsigned p = 0; p < a.products; ++p) a.groups += static_cast<std::uint32_t>(parts(a.of[p].w.rows, kRows));
  // Few rows: several warps on each, as far as its depth gives all of them something to do.
  a.split = 1;
  while (a.split < kWarps && a.groups * a.split < processors * kBlocks * kWarps && a.of[0].w.cols >= 2048 * a.split)
    a.split *= 2;
  const unsigned blocks = static_cast<unsigned>(parts(a.groups, kWarps / a.split));
  const unsigned tokens = a.tokens == 1 ? 1 : kManyTokens, together = static_cast<unsigned>(parts(a.tokens, tokens));
  const dim3 grid(std::min(blocks, std::max(1u, processors * kBlocks / together)), together);
  return for_type(type, [&](auto constant) {
    constexpr DType is = decltype(constant)::value;
    return launch(a.tokens == 1 ? row_products<is, 1> : row_products<is, kManyTokens>, grid, kThreads, a);
  });
}

}  // namespace carat::cuda
