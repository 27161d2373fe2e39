// Stands in for CUDA's header of this name, so that a C++ compiler builds kernels/cuda for tests without a GPU: device
// memory is memory, a stream runs what it is given at once, and each block's threads are fibers that change places at
// barriers. What the kernels and the backend use of CUDA is here, and no more.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static  // blocks run one after the other

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned along_x = 1, unsigned along_y = 1, unsigned along_z = 1)
      : x(along_x), y(along_y), z(along_z) {}
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

inline constexpr unsigned warpSize = 32;

void __syncthreads();
void __syncwarp();

namespace cuda_emulator {

[[noreturn]] void fail(const char* why);
// The word that `lane` of the calling thread's warp gives in the same call.
std::uint64_t exchange(std::uint64_t given, unsigned lane);
void run(dim3 grid, dim3 block, const std::function<void()>& thread);

// The device that there is, for tests to change. The environment says it for a whole program.
struct Device {
  int count = 1;                              // CARAT_EMULATED_GPUS
  int driver = 13000;                         // CARAT_EMULATED_DRIVER; 0: none
  std::size_t memory = std::size_t{1} << 30;  // CARAT_EMULATED_GPU_MEMORY, bytes
  std::size_t used = 0;
  std::size_t launches = 0, replays = 0;  // of kernels by themselves, of graphs
};
Device& device();

template <class T>
T take_from(T value, unsigned lane) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t word = 0;
  __builtin_memcpy(&word, &value, sizeof value);
  word = exchange(word, lane);
  __builtin_memcpy(&value, &word, sizeof value);
  return value;
}

}  // namespace cuda_emulator

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return cuda_emulator::take_from(value, (threadIdx.x ^ static_cast<unsigned>(mask)) % warpSize);
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return cuda_emulator::take_from(value, static_cast<unsigned>(lane));
}

inline float __fmaf_rn(float a, float b, float c) { return std::fmaf(a, b, c); }
inline float __uint_as_float(unsigned bits) { return __builtin_bit_cast(float, bits); }
inline unsigned __float_as_uint(float value) { return __builtin_bit_cast(unsigned, value); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline void sincos(double x, double* sin, double* cos) { *sin = std::sin(x), *cos = std::cos(x); }

enum cudaError_t {
  cudaSuccess,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100
};
inline constexpr cudaError_t cudaErrorInvalidValue = static_cast<cudaError_t>(1);
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetLastError();

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount;
  std::size_t totalGlobalMem;
};
inline constexpr int CUDART_VERSION = 13000;
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int);
cudaError_t cudaSetDevice(int);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaMalloc(void** at, std::size_t bytes);
cudaError_t cudaFree(void*);
cudaError_t cudaMallocHost(void** at, std::size_t bytes);
cudaError_t cudaFreeHost(void*);

// A stream that is being captured keeps what it is given.
struct CUgraph_st {
  std::vector<std::function<void()>> nodes;
};
struct CUstream_st {
  CUgraph_st* captured = nullptr;
};
struct CUevent_st {};
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;
using cudaGraph_t = CUgraph_st*;
using cudaGraphExec_t = CUgraph_st*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
  cudaStream_t stream;
  void* attrs;
  unsigned numAttrs;
};
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... given) {
  const auto all = [grid = config->gridDim, block = config->blockDim, kernel,
                    arguments = std::tuple<Parameters...>(static_cast<Arguments&&>(given)...)] {
    cuda_emulator::run(grid, block, [&] { std::apply(kernel, arguments); });
  };
  if (config->stream->captured != nullptr) {
    config->stream->captured->nodes.push_back(all);
    return cudaSuccess;
  }
  ++cuda_emulator::device().launches;
  all();
  return cudaSuccess;
}
