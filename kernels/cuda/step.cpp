#include "kernels/cuda/step.h"

#include <algorithm>

namespace carat::cuda {

namespace {

bool same_steps(const std::vector<Launch>& a, const std::vector<Launch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

}  // namespace

Step::~Step() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}

void Step::run() {
  if (pending_.empty()) return;
  if (same_steps(pending_, before_) && !same_steps(pending_, captured_)) capture();
  if (graph_ != nullptr && same_steps(pending_, captured_))
    check(cudaGraphLaunch(graph_, stream_), "a step");
  else
    issue();
  check(cudaGetLastError(), "a step");
  std::swap(pending_, before_);
  pending_.clear();
}

void Step::issue() const {
  for (const Launch& launch : pending_) launch.issue(launch, stream_);
}

void Step::capture() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  graph_ = nullptr;
  captured_.clear();
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "a graph");
  issue();
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream_, &graph), "a graph");
  const cudaError_t made = cudaGraphInstantiate(&graph_, graph, 0);
  cudaGraphDestroy(graph);
  check(made, "a graph");
  captured_ = pending_;
}

}  // namespace carat::cuda
