#include "kernels/cuda/upload.h"

#include <algorithm>

#include "kernels/cuda/layout.h"

namespace carat::cuda {

namespace {

constexpr std::size_t kPartBytes = std::size_t{8} << 20;

}  // namespace

Upload::~Upload() {
  for (const Part& part : parts_) {
    if (part.copied == nullptr) continue;
    cudaEventSynchronize(part.copied);
    cudaEventDestroy(part.copied);
  }
}

// Memory that nobody reads any more, of at least so many bytes.
std::byte* Upload::room(Part& part, std::size_t bytes) {
  if (part.copied == nullptr) {
    check(cudaEventCreateWithFlags(&part.copied, cudaEventDisableTiming), "an event");
  } else {
    check(cudaEventSynchronize(part.copied), "uploading weights");
  }
  if (part.bytes < bytes) {
    part.memory = PinnedMemory();
    void* at = nullptr;
    check(cudaMallocHost(&at, bytes), "pinned memory");
    part.memory = PinnedMemory(at);
    part.bytes = bytes;
  }
  return static_cast<std::byte*>(part.memory.get());
}

void Upload::copy(const Tensor& host, std::byte* to) {
  const std::size_t from_bytes = row_bytes(host.dtype, host.cols), bytes = device_row_bytes(host.dtype, host.cols);
  const std::size_t rows_at_once = std::max<std::size_t>(1, kPartBytes / bytes);
  const auto* const from = static_cast<const std::byte*>(host.where);
  for (std::size_t row = 0; row < host.rows; row += rows_at_once) {
    const std::size_t rows = std::min(rows_at_once, host.rows - row);
    Part& part = parts_[next_++ % parts_.size()];
    std::byte* const staged = room(part, std::max(kPartBytes, bytes));
    for (std::size_t r = 0; r < rows; ++r)
      arrange_row(host.dtype, host.cols, from + (row + r) * from_bytes, staged + r * bytes);
    check(cudaMemcpyAsync(to + row * bytes, staged, rows * bytes, cudaMemcpyHostToDevice, stream_),
          "uploading weights");
    check(cudaEventRecord(part.copied, stream_), "uploading weights");
  }
}

}  // namespace carat::cuda
