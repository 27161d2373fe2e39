#include "engine/model.h"

#include <cassert>
#include <utility>

#include "engine/error.h"

namespace carat {

Model load_model(const ModelFile& file, std::unique_ptr<Backend> backend) {
  return load_model(file, std::move(backend), nullptr, 0);
}

Model load_model(const ModelFile& file, std::unique_ptr<Backend> backend, std::unique_ptr<Backend> gpu,
                 std::size_t gpu_layers) {
  if (file.tensors().empty()) throw BadFile(file.path() + ": no tensors: this file holds no model, only metadata");
  Model model;
  model.config = read_config(file);
  assert(gpu_layers <= model.config.layers.size() && (gpu_layers > 0) == (gpu != nullptr));
  model.backend = std::move(backend);
  model.gpu = std::move(gpu);
  model.gpu_layers = gpu_layers;
  model.weights = bind_weights(model.config, file, {*model.backend, model.gpu.get(), gpu_layers});
  return model;
}

}  // namespace carat
