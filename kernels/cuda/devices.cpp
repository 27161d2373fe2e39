// The GPUs there are, and how fast their memory is.
#include <algorithm>
#include <chrono>

#include "kernels/cuda/cuda_backend.h"

namespace carat {

namespace {

void use(std::size_t index) { cuda::check(cudaSetDevice(static_cast<int>(index)), "device " + std::to_string(index)); }

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string why_none(cudaError_t error) {
  int driver = 0;
  if (error != cudaErrorInsufficientDriver || cudaDriverGetVersion(&driver) != cudaSuccess)
    return cudaGetErrorString(error);
  if (driver == 0) return "no NVIDIA driver is installed";
  return "the driver is for CUDA " + version_text(driver) + ", and " + version_text(CUDART_VERSION) + " is needed";
}

}  // namespace

std::string_view gpu_kind() { return "cuda"; }

Gpus find_gpus() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return {{}, why_none(error)};
  Gpus gpus;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    std::size_t free = 0, total = 0;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    if (cudaSetDevice(i) != cudaSuccess || cudaMemGetInfo(&free, &total) != cudaSuccess) free = total = 0;
    gpus.found.push_back({"cuda" + std::to_string(i), properties.name,
                          "sm_" + std::to_string(properties.major) + std::to_string(properties.minor), total, free});
  }
  if (gpus.found.empty()) gpus.why_none = "no GPU that can be used";
  return gpus;
}

std::unique_ptr<Backend> make_gpu_backend(std::size_t index) {
  cudaDeviceProp properties;
  use(index);
  cuda::check(cudaGetDeviceProperties(&properties, static_cast<int>(index)), "device " + std::to_string(index));
  return std::make_unique<cuda::CudaBackend>(static_cast<int>(index),
                                             static_cast<std::uint32_t>(properties.multiProcessorCount));
}

std::uint64_t gpu_scratch_bytes(const FewRowsShape& shape, std::size_t batch) {
  const std::size_t rows = std::max(batch, kFewRows), depth = std::max(shape.width, shape.hidden);
  const std::size_t pieces = std::max(kFewRows * cuda::kMostSegments, batch) * shape.heads;
  return rows * (2 * shape.hidden * sizeof(float) + cuda::packed_depth(depth) * sizeof(std::uint16_t)) +
         pieces * (shape.head_dim * sizeof(float) + sizeof(cuda::Softmax));
}

double gpu_copy_rate(std::size_t index) {
  constexpr int kRounds = 5, kCopies = 4;
  use(index);
  std::size_t free = 0, total = 0;
  cuda::check(cudaMemGetInfo(&free, &total), "memory");
  const std::size_t bytes = std::min(free / 4, std::size_t{1} << 30);
  const cuda::DeviceMemory from = cuda::allocate(bytes, "a copy"), to = cuda::allocate(bytes, "a copy");
  const cuda::Stream stream;
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCopies; ++i)
      cuda::check(cudaMemcpyAsync(to.get(), from.get(), bytes, cudaMemcpyDeviceToDevice, stream), "a copy");
    cuda::check(cudaStreamSynchronize(stream), "a copy");
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 2.0 * kCopies * static_cast<double>(bytes) / seconds);
  }
  return best;
}

}  // namespace carat
