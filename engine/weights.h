// The tensors of a model by their role, bound to the tensors of a file.
#pragma once
#include <string>
#include <vector>

#include "engine/model_config.h"
#include "kernels/backend.h"

namespace carat {

// Shapes as [rows, cols] = [outputs, inputs]. Optional tensors may be absent; see present().
struct LayerWeights {
  Tensor attn_norm;                      // [1, width]
  Tensor wq;                             // [heads * head_dim, width]
  Tensor wk, wv;                         // [kv_heads * head_dim, width]
  Tensor wo;                             // [width, heads * head_dim]
  Tensor bq, bk, bv, bo;                 // [1, rows of wq, wk, wv, wo]; optional
  Tensor q_norm, k_norm;                 // [1, head_dim]; optional
  Tensor post_attn_norm, post_ffn_norm;  // [1, width]; optional
  Tensor ffn_norm;                       // [1, width]
  Tensor w_gate, w_up;                   // [hidden, width]
  Tensor w_down;                         // [width, hidden]
};

struct Weights {
  Tensor embed;                         // [vocabulary, width]
  Tensor output;                        // [vocabulary, width]; `embed` itself where the file has no other
  Tensor output_norm;                   // [1, width]
  std::vector<Tensor> frequencies;      // of each rope: [1, rope_dim / 2], radians per position
  std::vector<Tensor> gpu_frequencies;  // the same on the second backend, if there is one
  std::vector<LayerWeights> layers;

  std::vector<std::string> unused;         // tensors of the file that have no role here
  std::vector<std::vector<float>> values;  // what is not in the file as it is used
};

// Where the parts of a model go: the last `gpu_layers` layers and the output to `gpu`, if that is there.
struct Placement {
  Backend& backend;
  Backend* gpu = nullptr;
  std::size_t gpu_layers = 0;
};

// Finds every tensor that `config` calls for, checks its shape and hands it to its backend; sets config.vocabulary to
// the rows of the embedding, or to the number of the file's tokens where that is smaller (the rest is padding).
// Throws BadFile. `file` outlives the weights.
Weights bind_weights(ModelConfig& config, const ModelFile& file, const Placement& placement);

}  // namespace carat
