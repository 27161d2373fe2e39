#include "engine/cost.h"

#include <algorithm>

namespace carat {

namespace {

std::uint64_t layer_bytes(const LayerWeights& w) {
  std::uint64_t bytes = 0;
  for (const Tensor* tensor :
       {&w.attn_norm, &w.wq, &w.wk, &w.wv, &w.wo, &w.bq, &w.bk, &w.bv, &w.bo, &w.q_norm, &w.k_norm, &w.post_attn_norm,
        &w.post_ffn_norm, &w.ffn_norm, &w.w_gate, &w.w_up, &w.w_down})
    bytes += byte_size(*tensor);
  return bytes;
}

double elements(const Tensor& tensor) { return static_cast<double>(tensor.rows) * static_cast<double>(tensor.cols); }

double layer_products(const LayerWeights& w) {
  double products = 0;
  for (const Tensor* tensor : {&w.wq, &w.wk, &w.wv, &w.wo, &w.w_gate, &w.w_up, &w.w_down})
    products += elements(*tensor);
  return products;
}

// Positions that the token at `position` sees, its own included.
std::size_t seen(std::size_t position, std::size_t window) {
  return window == 0 ? position + 1 : std::min(position + 1, window);
}

}  // namespace

std::uint64_t decode_bytes(const Model& model, std::size_t position, const CacheTypes& cache) {
  const ModelConfig& c = model.config;
  std::uint64_t bytes = byte_size(model.weights.output) + byte_size(model.weights.output_norm) +
                        row_bytes(model.weights.embed.dtype, c.width);
  const std::size_t cols = c.kv_heads * c.head_dim, cached = row_bytes(cache.k, cols) + row_bytes(cache.v, cols);
  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    bytes += layer_bytes(model.weights.layers[i]);
    bytes += seen(position, c.layers[i].window) * cached;
  }
  return bytes;
}

double prefill_operations(const Model& model, std::size_t position, std::size_t tokens) {
  const ModelConfig& c = model.config;
  double products = elements(model.weights.output);
  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    products += layer_products(model.weights.layers[i]) * static_cast<double>(tokens);
    double positions = 0;
    for (std::size_t t = 0; t < tokens; ++t) positions += static_cast<double>(seen(position + t, c.layers[i].window));
    products += 2 * positions * static_cast<double>(c.heads * c.head_dim);  // q · k, and what is summed of v
  }
  return 2 * products;
}

}  // namespace carat
