// GPUs as backends, where this build knows any: kernels/cuda, or no_gpu.cpp in its place.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace carat {

// A device that is not there, or that failed: its memory is too small, its driver too old, a kernel went wrong.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What GPUs are called in this build, "cuda"; empty: it is for the CPU alone.
std::string_view gpu_kind();

struct Gpu {
  std::string id;            // "cuda0"
  std::string name;          // its maker's
  std::string architecture;  // "sm_90"
  std::uint64_t memory = 0, free = 0;
};

// Those that can be used, or why there are none: the system's own words.
struct Gpus {
  std::vector<Gpu> found;
  std::string why_none;
};
Gpus find_gpus();

// The backend of found[index]. Throws DeviceError.
std::unique_ptr<Backend> make_gpu_backend(std::size_t index);

// Bytes that such a backend takes besides weights, cache and what it is asked to make, for steps of `batch` rows.
std::uint64_t gpu_scratch_bytes(const FewRowsShape& shape, std::size_t batch);

// Bytes per second that found[index] reads and writes when it copies its memory: the best of a few times. Throws
// DeviceError.
double gpu_copy_rate(std::size_t index);

}  // namespace carat
