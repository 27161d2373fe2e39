// A matrix somewhere: a view that knows its shape and type, and owns nothing.
#pragma once
#include "kernels/dtype.h"

namespace carat {

// Row-major, rows back to back. `where` belongs to the backend or file that made the view; nobody else looks inside.
// A vector is a matrix of one row. A default-constructed tensor is absent: an optional weight that the file lacks.
struct Tensor {
  DType dtype = DType::f32;
  std::size_t rows = 0;
  std::size_t cols = 0;
  void* where = nullptr;
  float scale = 1;  // multiplies every element of a weight; activations, gains and biases have 1
};

constexpr bool present(const Tensor& tensor) { return tensor.where != nullptr; }

constexpr std::size_t byte_size(const Tensor& tensor) { return tensor.rows * row_bytes(tensor.dtype, tensor.cols); }

// Rows [first, first + count) of a tensor in memory.
inline Tensor row_view(const Tensor& tensor, std::size_t first, std::size_t count) {
  auto* bytes = static_cast<std::byte*>(tensor.where) + first * row_bytes(tensor.dtype, tensor.cols);
  return {tensor.dtype, count, tensor.cols, bytes, tensor.scale};
}

}  // namespace carat
