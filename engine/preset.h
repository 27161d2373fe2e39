// The published shapes of models, for measurements without the models themselves.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "engine/file/model_file.h"

namespace carat {

struct Preset {
  std::string_view name;  // as users write it: "gemma3-1b"
  std::string_view architecture;
  std::size_t layers = 0, width = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0;
  std::size_t vocabulary = 0, context = 0;
  std::size_t window = 0;  // of layers that have one; 0 = none has
  float rope_base = 10000;
  bool tied = true;  // the embedding serves as output
};

std::span<const Preset> presets();
const Preset* find_preset(std::string_view name);  // of any case; null if there is none

// What read_config wants to know. The preset's texts outlive the result.
Metadata preset_metadata(const Preset& preset);

// Every tensor of the network, without bytes: matrices as f16, gains and biases as f32.
std::vector<FileTensor> preset_tensors(const Preset& preset);

}  // namespace carat
