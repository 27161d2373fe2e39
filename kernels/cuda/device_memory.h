// Memory on the device and pinned memory of the host, owned; and errors of CUDA as exceptions.
#pragma once
#include <cuda_runtime.h>

#include <string>
#include <utility>

#include "kernels/gpu.h"

namespace carat::cuda {

inline void check(cudaError_t error, const std::string& what) {
  if (error != cudaSuccess) throw DeviceError("GPU: " + what + ": " + cudaGetErrorString(error));
}

// Bytes, or none.
template <cudaError_t (*give_back)(void*)>
class Memory {
 public:
  Memory() = default;
  explicit Memory(void* at) : at_(at) {}
  Memory(Memory&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(at_, other.at_);
    return *this;
  }
  ~Memory() {
    if (at_ != nullptr) give_back(at_);
  }
  void* get() const { return at_; }

 private:
  void* at_ = nullptr;
};

using DeviceMemory = Memory<cudaFree>;
using PinnedMemory = Memory<cudaFreeHost>;

// Throws DeviceError, with what was asked for and what is left.
DeviceMemory allocate(std::size_t bytes, const char* what);

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace carat::cuda
