// The numbers that make one model differ from another. All variation between families is data here.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "engine/file/model_file.h"
#include "kernels/backend.h"

namespace carat {

// Rotary embedding: pair i turns by position / factor * base^(-2i / dim).
struct RopeConfig {
  double base = 10000;
  double factor = 1;  // linear scaling: positions are divided by it
};

struct LayerConfig {
  std::size_t window = 0;  // positions seen, the own one included; 0 = all
  std::size_t rope = 0;    // index into ModelConfig::ropes
};

struct ModelConfig {
  std::string architecture;  // as the file names it: "gemma3"
  std::string name;          // what the file calls the model; may be empty

  std::size_t context = 0;  // positions the model was trained for
  std::size_t width = 0;    // of the residual stream
  std::size_t hidden = 0;   // of the feed-forward network
  std::size_t heads = 0, kv_heads = 0, head_dim = 0;
  std::size_t vocabulary = 0;  // logits; set when the weights are bound

  float norm_eps = 0;
  float embed_scale = 1;
  float query_scale = 0;    // multiplies q · k
  float attention_cap = 0;  // 0 = none
  float logit_cap = 0;      // 0 = none
  Gate gate = Gate::silu;
  RopeStyle rope_style = RopeStyle::halves;
  std::size_t rope_dim = 0;  // elements of a head that turn

  bool qkv_bias = false;    // q, k, v carry a bias
  bool qk_norm = false;     // each head of q and k is normalised
  bool post_norms = false;  // the branches are normalised once more before they are added

  std::vector<RopeConfig> ropes;
  std::vector<LayerConfig> layers;
};

// Reads the configuration of a file, by the architecture it names. Throws Unsupported for an architecture or a variant
// that is not known, BadFile for numbers that make no sense. Shapes are checked when the weights are bound.
ModelConfig read_config(const ModelFile& file);

}  // namespace carat
