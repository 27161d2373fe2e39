#include "engine/model.h"

#include "engine/error.h"

namespace carat {

Model load_model(const ModelFile& file, std::unique_ptr<Backend> backend) {
  if (file.tensors().empty()) throw BadFile(file.path() + ": no tensors: this file holds no model, only metadata");
  Model model;
  model.config = read_config(file);
  model.backend = std::move(backend);
  model.weights = bind_weights(model.config, file, *model.backend);
  return model;
}

}  // namespace carat
