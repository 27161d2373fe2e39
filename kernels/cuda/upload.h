// Weights on their way to the device: rows are laid out into pinned memory, one part while the other is copied.
#pragma once
#include <array>

#include "kernels/cuda/device_memory.h"
#include "kernels/tensor.h"

namespace carat::cuda {

class Upload {
 public:
  explicit Upload(cudaStream_t stream) : stream_(stream) {}
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // The rows of a matrix in the host's memory, as layout.h has them, to `to`. Returns before the last are there: what
  // the stream does next finds them.
  void copy(const Tensor& host, std::byte* to);

 private:
  struct Part {
    PinnedMemory memory;
    std::size_t bytes = 0;
    cudaEvent_t copied = nullptr;
  };
  std::byte* room(Part& part, std::size_t bytes);

  cudaStream_t stream_;
  std::array<Part, 2> parts_;
  std::size_t next_ = 0;
};

}  // namespace carat::cuda
