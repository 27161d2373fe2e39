// Stands in for CUDA's header of this name: products of 16 x 16 tiles by a warp. Its first lane has the tiles and does
// the work; the others meet it where on a device they would.
#pragma once
#include <cstddef>

#include "test/support/cuda_emulator/cuda_fp16.h"
#include "test/support/cuda_emulator/cuda_runtime.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int m, int n, int k, class T, class Layout = void>
struct fragment {
  static_assert(m == 16 && n == 16 && k == 16);
  T tile[256];  // [row, column]
};

// `stride` in bytes.
inline bool does_the_work(const void* tile, std::size_t stride) {
  if (reinterpret_cast<std::uintptr_t>(tile) % 32 != 0 || stride % 16 != 0)
    cuda_emulator::fail("a tile of a matrix that is not aligned to 32 bytes, its rows to 16");
  __syncwarp();
  return threadIdx.x % warpSize == 0;
}

template <class T>
void fill_fragment(fragment<accumulator, 16, 16, 16, T>& f, T value) {
  for (T& x : f.tile) x = value;
}

template <class Use>
void load_matrix_sync(fragment<Use, 16, 16, 16, half, row_major>& f, const half* from, unsigned stride) {
  if (!does_the_work(from, stride * sizeof *from)) return;
  for (unsigned i = 0; i < 256; ++i) f.tile[i] = from[i / 16 * stride + i % 16];
}
template <class Use>
void load_matrix_sync(fragment<Use, 16, 16, 16, half, col_major>& f, const half* from, unsigned stride) {
  if (!does_the_work(from, stride * sizeof *from)) return;
  for (unsigned i = 0; i < 256; ++i) f.tile[i] = from[i % 16 * stride + i / 16];
}

template <class A, class B>
void mma_sync(fragment<accumulator, 16, 16, 16, float>& d, const fragment<matrix_a, 16, 16, 16, half, A>& a,
              const fragment<matrix_b, 16, 16, 16, half, B>& b, const fragment<accumulator, 16, 16, 16, float>& c) {
  if (!does_the_work(nullptr, 0)) return;
  float left[256], right[256];
  for (int i = 0; i < 256; ++i) left[i] = __half2float(a.tile[i]), right[i] = __half2float(b.tile[i]);
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 16; ++column) {
      float sum = c.tile[row * 16 + column];
      for (int i = 0; i < 16; ++i) sum += left[row * 16 + i] * right[i * 16 + column];
      d.tile[row * 16 + column] = sum;
    }
  }
}

inline void store_matrix_sync(float* to, const fragment<accumulator, 16, 16, 16, float>& f, unsigned stride,
                              layout_t layout) {
  if (does_the_work(to, stride * sizeof *to)) {
    for (unsigned i = 0; i < 256; ++i) {
      const unsigned row = i / 16, column = i % 16;
      to[layout == mem_row_major ? row * stride + column : column * stride + row] = f.tile[i];
    }
  }
  __syncwarp();
}

}  // namespace nvcuda::wmma
