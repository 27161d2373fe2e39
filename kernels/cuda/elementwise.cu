// What is done to activations between the products: looked up, normalised, rotated, gated, added.
#include <algorithm>

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/decode.cuh"
#include "kernels/cuda/for_type.h"

namespace carat::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::uint64_t kMostBlocks = 1 << 16;

unsigned blocks_for(std::uint64_t count) {
  return static_cast<unsigned>(std::min(kMostBlocks, std::max<std::uint64_t>(1, parts(count, kThreads))));
}

__device__ __forceinline__ std::uint64_t first_index() { return std::uint64_t{blockIdx.x} * kThreads + threadIdx.x; }
__device__ __forceinline__ std::uint64_t all_threads() { return std::uint64_t{gridDim.x} * kThreads; }

template <DType type>
__global__ void embed_rows(Embed a) {
  using Decoded = Decoder<type>;
  const Weight& w = a.table;
  const unsigned units = (w.cols + Decoded::kSize - 1) / Decoded::kSize;
  const Bytes front = w.at + static_cast<std::size_t>(a.ids[blockIdx.x]) * w.row_bytes;
  for (unsigned u = threadIdx.x; u < units; u += kThreads) {
    const Decoded decoded(RowAt{front, front + w.rest_at}, u);
    for (unsigned i = 0; i < Decoded::kSize; ++i) {
      const unsigned col = u * Decoded::kSize + i;
      if (col < w.cols) a.out[std::size_t{blockIdx.x} * w.cols + col] = decoded.value(i) * (a.scale * w.scale);
    }
  }
}

__global__ void rms_norm_chunk(RmsNorm a) {
  __shared__ float of_warp[32];
  const float* const x = a.x + std::size_t{blockIdx.x} * a.cols;
  float squares = 0;
  for (unsigned i = threadIdx.x; i < a.cols; i += blockDim.x) squares = __fmaf_rn(x[i], x[i], squares);
  for (int distance = 16; distance > 0; distance /= 2) squares += __shfl_xor_sync(0xFFFFFFFFu, squares, distance);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = squares;
  __syncthreads();
  squares = 0;
  for (unsigned i = 0; i < blockDim.x / 32; ++i) squares += of_warp[i];
  const float factor = 1 / sqrtf(squares / static_cast<float>(a.cols) + a.eps);
  float* const out = a.out + std::size_t{blockIdx.x} * a.cols;
  for (unsigned i = threadIdx.x; i < a.cols; i += blockDim.x) out[i] = x[i] * factor * a.gain[i];
}

__global__ void add_to(Add a) {
  for (std::uint64_t i = first_index(); i < a.count; i += all_threads()) a.x[i] += a.y[i % a.period];
}

__global__ void gate_by(GateBy a) {
  for (std::uint64_t i = first_index(); i < a.count; i += all_threads()) {
    const float x = a.x[i];
    const float gelu = 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    a.x[i] = (a.act == Gate::silu ? x / (1 + expf(-x)) : gelu) * a.up[i];
  }
}

__global__ void cap(SoftCap a) {
  for (std::uint64_t i = first_index(); i < a.count; i += all_threads()) a.x[i] = a.cap * tanhf(a.x[i] / a.cap);
}

__global__ void gather_rows(Gather a) {
  const float* const from = a.x + static_cast<std::size_t>(a.rows[blockIdx.x]) * a.cols;
  for (unsigned i = threadIdx.x; i < a.cols; i += kThreads) a.out[std::size_t{blockIdx.x} * a.cols + i] = from[i];
}

__global__ void rotations_of(Rotations a) {
  for (unsigned i = threadIdx.x; i < a.pairs; i += blockDim.x) {
    // In double: far into a context an angle in float is off by a thousandth.
    const double angle = static_cast<double>(a.position[blockIdx.x]) * static_cast<double>(a.frequencies[i]);
    double sin_of, cos_of;
    sincos(angle, &sin_of, &cos_of);
    float* const out = a.out + 2 * (std::size_t{blockIdx.x} * a.pairs + i);
    out[0] = static_cast<float>(cos_of);
    out[1] = static_cast<float>(sin_of);
  }
}

__global__ void rotate(Rope a) {
  const float* const rotation = a.rotations + std::size_t{blockIdx.x} * 2 * a.pairs;
  float* const row = a.x + std::size_t{blockIdx.x} * a.heads * a.head_dim;
  for (unsigned i = threadIdx.x; i < a.heads * a.pairs; i += kThreads) {
    const unsigned pair = i % a.pairs;
    float* const head = row + std::size_t{i / a.pairs} * a.head_dim;
    float *const first = head + (a.adjacent ? 2 * pair : pair), *const second = first + (a.adjacent ? 1 : a.pairs);
    const float cos_of = rotation[2 * pair], sin_of = rotation[2 * pair + 1], x = *first, y = *second;
    *first = __fmaf_rn(x, cos_of, -(y * sin_of));
    *second = __fmaf_rn(x, sin_of, y * cos_of);
  }
}

// A block of q8_0, as the codec of that name encodes it.
__device__ void encode_q8_0(const float* x, std::uint8_t* to) {
  float largest = 0;
  for (unsigned i = 0; i < 32; ++i) largest = fmaxf(largest, fabsf(x[i]));
  const float d = largest / 127, inverse = d != 0 ? 1 / d : 0;
  *reinterpret_cast<std::uint16_t*>(to) = __half_as_ushort(__float2half_rn(d));
  for (unsigned i = 0; i < 32; ++i) {
    const float code = fminf(fmaxf(roundf(x[i] * inverse), -127.0f), 127.0f);
    to[2 + i] = static_cast<std::uint8_t>(static_cast<std::int8_t>(static_cast<int>(code)));
  }
}

__device__ std::uint16_t to_bf16(float value) {
  const unsigned bits = __float_as_uint(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>(bits >> 16 | 64u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

__device__ void store_row(const CacheSide& side, std::size_t slot, const float* from, unsigned cols) {
  std::uint8_t* const to = side.at + slot * side.row_bytes;
  if (side.dtype == DType::q8_0) {
    for (unsigned b = threadIdx.x; b < cols / 32; b += kThreads) encode_q8_0(from + 32 * b, to + 34 * b);
    return;
  }
  for (unsigned i = threadIdx.x; i < cols; i += kThreads) {
    if (side.dtype == DType::f32)
      reinterpret_cast<float*>(to)[i] = from[i];
    else
      reinterpret_cast<std::uint16_t*>(to)[i] =
          side.dtype == DType::f16 ? __half_as_ushort(__float2half_rn(from[i])) : to_bf16(from[i]);
  }
}

__global__ void store_rows(Store a) {
  const auto position = static_cast<unsigned>(a.position[blockIdx.x]);
  const std::size_t slot = static_cast<std::size_t>(a.sequence[blockIdx.x]) * a.slots + position % a.slots;
  const std::size_t from = std::size_t{blockIdx.x} * a.cols;
  if (blockIdx.y == 0)
    store_row(a.k, slot, a.from_k + from, a.cols);
  else
    store_row(a.v, slot, a.from_v + from, a.cols);
}

}  // namespace

Launch embed(DType type, std::uint32_t tokens, const Embed& a) {
  return for_type(
      type, [&](auto constant) { return launch(embed_rows<decltype(constant)::value>, dim3(tokens), kThreads, a); });
}

Launch rms_norm(std::uint32_t chunks, const RmsNorm& a) {
  const auto threads = static_cast<unsigned>(std::clamp<std::size_t>(round_up(parts(a.cols, 4), 32), 32, 1024));
  return launch(rms_norm_chunk, dim3(chunks), threads, a);
}

Launch add(const Add& a) { return launch(add_to, dim3(blocks_for(a.count)), kThreads, a); }
Launch gate(const GateBy& a) { return launch(gate_by, dim3(blocks_for(a.count)), kThreads, a); }
Launch soft_cap(const SoftCap& a) { return launch(cap, dim3(blocks_for(a.count)), kThreads, a); }
Launch gather(std::uint32_t rows, const Gather& a) { return launch(gather_rows, dim3(rows), kThreads, a); }
Launch rotations(std::uint32_t tokens, const Rotations& a) { return launch(rotations_of, dim3(tokens), 64, a); }
Launch rope(std::uint32_t tokens, const Rope& a) { return launch(rotate, dim3(tokens), kThreads, a); }
Launch store(std::uint32_t tokens, const Store& a) { return launch(store_rows, dim3(tokens, 2), kThreads, a); }

}  // namespace carat::cuda
