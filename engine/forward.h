// The network, written out once, in the order things happen.
#pragma once
#include <span>
#include <stop_token>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/model.h"

namespace carat {

// The activations of one step on one backend, f32, sized once for the largest batch.
struct Activations {
  Tensor x, h;                    // [batch, width]: the residual stream, and a branch of it
  Tensor q, attended;             // [batch, heads * head_dim]
  Tensor k, v;                    // [batch, kv_heads * head_dim]
  std::vector<Tensor> rotations;  // of each rope: [batch, rope_dim]
};

// A vocabulary of 262144 makes a row of logits a megabyte: they are asked for a few rows at a time.
inline constexpr std::size_t kLogitRows = kFewRows;

struct Scratch {
  Scratch(const Model& model, std::size_t batch, std::size_t logit_rows);

  Activations last;            // of the layers before the output
  Activations first;           // of those before the border, where a model has one and layers on both sides
  std::vector<float> handing;  // what goes over it: [batch, width]
  Tensor logits;               // [logit_rows, vocabulary]

  // Bytes of those that are not there yet.
  static std::size_t bytes(const ModelConfig& config, std::size_t batch, std::size_t logit_rows);
};

// Runs `ids`, one for each of `rows`, through all layers: stores their keys and values, and leaves the residual stream
// in scratch.last.x. Looks at `stop` twice in each layer; false when it was asked to stop, with the step half done.
bool forward(const Model& model, const KvCache& cache, Scratch& scratch, std::span<const TokenId> ids, const Rows& rows,
             const std::stop_token& stop);

// The logits of these rows of scratch.last.x: [rows, vocabulary], at most scratch.logits.rows of them. `few` as in
// Rows.
Tensor project(const Model& model, Scratch& scratch, std::span<const std::size_t> rows, std::size_t few);

}  // namespace carat
