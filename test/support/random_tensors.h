// Made-up activations and weights.
#pragma once
#include <cstddef>
#include <random>
#include <vector>

#include "kernels/quant/codecs.h"

namespace carat::test {

inline std::vector<float> random_floats(std::size_t n, unsigned seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

// `rows` rows of `cols` normal numbers in the given format.
inline std::vector<std::byte> random_weights(DType dtype, std::size_t rows, std::size_t cols, unsigned seed) {
  const std::vector<float> values = random_floats(rows * cols, seed);
  std::vector<std::byte> out(rows * row_bytes(dtype, cols));
  for (std::size_t r = 0; r < rows; ++r) quantize_row(dtype, &values[r * cols], &out[r * row_bytes(dtype, cols)], cols);
  return out;
}

}  // namespace carat::test
