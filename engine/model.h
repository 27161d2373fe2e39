// A model, ready to run: configuration and weights on a backend. Constant once loaded, shared by sessions.
#pragma once
#include <memory>

#include "engine/model_config.h"
#include "engine/weights.h"

namespace carat {

struct Model {
  ModelConfig config;
  Weights weights;
  std::unique_ptr<Backend> backend;
};

// Binds a file's tensors on `backend`. Nothing is copied where the backend reads weights in place, so the file must
// outlive the model. Throws BadFile and Unsupported.
Model load_model(const ModelFile& file, std::unique_ptr<Backend> backend);

}  // namespace carat
