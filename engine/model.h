// A model, ready to run: configuration and weights on one backend or two. Constant once loaded, shared by sessions.
#pragma once
#include <memory>

#include "engine/model_config.h"
#include "engine/weights.h"

namespace carat {

struct Model {
  ModelConfig config;
  Weights weights;
  std::unique_ptr<Backend> backend;
  // The last so many layers, and the output matrix, are on a second backend; null: all is on the first.
  std::unique_ptr<Backend> gpu;
  std::size_t gpu_layers = 0;

  // The layer before which activations go from the first backend to the second.
  std::size_t border() const { return config.layers.size() - gpu_layers; }
  Backend& backend_of(std::size_t layer) const { return layer < border() ? *backend : *gpu; }
  Backend& output_backend() const { return gpu == nullptr ? *backend : *gpu; }
};

// Binds a file's tensors on `backend`. Nothing is copied where the backend reads weights in place, so the file must
// outlive the model. Throws BadFile and Unsupported.
Model load_model(const ModelFile& file, std::unique_ptr<Backend> backend);
// The same with the last `gpu_layers` layers, at least one and at most all, on `gpu`. Throws DeviceError too.
Model load_model(const ModelFile& file, std::unique_ptr<Backend> backend, std::unique_ptr<Backend> gpu,
                 std::size_t gpu_layers);

}  // namespace carat
