// The kernels of a step, kept until somebody waits for them: a step that is the same as the one before, as those of
// decoding are, runs as a graph, which costs the host one call.
#pragma once
#include <vector>

#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/launch.h"

namespace carat::cuda {

class Step {
 public:
  explicit Step(cudaStream_t stream) : stream_(stream) {}
  ~Step();
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  void add(const Launch& launch) { pending_.push_back(launch); }
  // Hands what was added to the device. Throws DeviceError.
  void run();

 private:
  void issue() const;
  void capture();

  cudaStream_t stream_;
  std::vector<Launch> pending_, before_;  // to be run; what ran last
  std::vector<Launch> captured_;          // what the graph does
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace carat::cuda
