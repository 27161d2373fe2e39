// A kernel with what it is given, as a value: to be run at once, or kept and compared with the step before.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstring>

namespace carat::cuda {

inline constexpr std::size_t kArgumentBytes = 256;

// Kernels have one parameter, a struct of plain values.
struct Launch {
  void (*issue)(const Launch&, cudaStream_t) = nullptr;
  void (*kernel)() = nullptr;
  dim3 grid{};
  unsigned threads = 0;
  alignas(16) std::byte arguments[kArgumentBytes] = {};
};

inline bool same(const Launch& a, const Launch& b) {
  return a.issue == b.issue && a.kernel == b.kernel && a.grid.x == b.grid.x && a.grid.y == b.grid.y &&
         a.grid.z == b.grid.z && a.threads == b.threads && std::memcmp(a.arguments, b.arguments, kArgumentBytes) == 0;
}

template <class Arguments>
Launch launch(void (*kernel)(Arguments), dim3 grid, unsigned threads, const Arguments& arguments) {
  static_assert(sizeof(Arguments) <= kArgumentBytes && alignof(Arguments) <= 16);
  Launch made;
  made.issue = [](const Launch& l, cudaStream_t stream) {
    Arguments given;
    std::memcpy(&given, l.arguments, sizeof given);
    cudaLaunchConfig_t config{};
    config.gridDim = l.grid;
    config.blockDim = dim3(l.threads);
    config.stream = stream;
    cudaLaunchKernelEx(&config, reinterpret_cast<void (*)(Arguments)>(l.kernel), given);
  };
  made.kernel = reinterpret_cast<void (*)()>(kernel);
  made.grid = grid;
  made.threads = threads;
  std::memcpy(made.arguments, &arguments, sizeof arguments);
  return made;
}

}  // namespace carat::cuda
