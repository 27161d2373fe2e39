#include "engine/weights.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/error.h"
#include "engine/file/quote.h"
#include "kernels/quant/codecs.h"

namespace carat {

namespace {

std::string shape(std::size_t rows, std::size_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

// Looks tensors up by name, checks them against what the configuration says, and hands them to a backend.
class Binder {
 public:
  Binder(const ModelFile& file, Weights& weights) : file_(file), weights_(weights) {}

  // The backend of all that is bound from now on.
  void bind_to(Backend& backend) { backend_ = &backend; }

  // A matrix [rows, cols] of any type, or `count` of its rows.
  Tensor matrix(const std::string& name, std::size_t rows, std::size_t cols) {
    return matrix_rows(name, rows, cols, 0, rows);
  }
  Tensor matrix_rows(const std::string& name, std::size_t rows, std::size_t cols, std::size_t first,
                     std::size_t count) {
    return backend_->adopt_weight(row_view(checked(file_.need(name), rows, cols), first, count));
  }

  // A gain or bias [1, cols], as f32 whatever the file holds.
  Tensor vector(const std::string& name, std::size_t cols) {
    const Tensor found = checked(file_.need(name), 1, cols);
    if (found.dtype == DType::f32 && found.scale == 1) return backend_->adopt_weight(found);
    return adopt(values(name, cols));
  }
  std::vector<float> values(const std::string& name, std::size_t cols) {
    const Tensor found = checked(file_.need(name), 1, cols);
    std::vector<float> values(cols);
    dequantize_row(found.dtype, found.where, values.data(), cols);
    for (float& value : values) value *= found.scale;
    return values;
  }
  Tensor vector_if_there(const std::string& name, std::size_t cols) {
    return file_.find(name) == nullptr ? Tensor{} : vector(name, cols);
  }

  Tensor adopt(std::vector<float> values) {
    std::vector<float>& kept = weights_.values.emplace_back(std::move(values));
    return backend_->adopt_weight({DType::f32, 1, kept.size(), kept.data()});
  }

  void list_unused() {
    for (const FileTensor& tensor : file_.tensors())
      if (!used_.contains(tensor.name)) weights_.unused.push_back(tensor.name);
  }

  const ModelFile& file() const { return file_; }

 private:
  Tensor checked(const FileTensor& tensor, std::size_t rows, std::size_t cols) {
    const Tensor found = as_matrix(tensor);
    if (found.rows != rows || found.cols != cols)
      throw BadFile(file_.path() + ": tensor " + quote(tensor.name) + ": shape " + shape(found.rows, found.cols) +
                    ", expected " + shape(rows, cols) + " by the metadata");
    used_.insert(tensor.name);
    return found;
  }

  const ModelFile& file_;
  Backend* backend_ = nullptr;
  Weights& weights_;
  std::set<std::string_view> used_;
};

// q, k and v: three tensors, or one with their rows in this order.
void bind_qkv(Binder& bind, const std::string& layer, const ModelConfig& c, LayerWeights& w) {
  const std::size_t q_rows = c.heads * c.head_dim, kv_rows = c.kv_heads * c.head_dim;
  if (bind.file().find(layer + "attn_q.weight") == nullptr && bind.file().find(layer + "attn_qkv.weight") != nullptr) {
    const auto part = [&](std::size_t first, std::size_t count) {
      return bind.matrix_rows(layer + "attn_qkv.weight", q_rows + 2 * kv_rows, c.width, first, count);
    };
    w.wq = part(0, q_rows);
    w.wk = part(q_rows, kv_rows);
    w.wv = part(q_rows + kv_rows, kv_rows);
  } else {
    w.wq = bind.matrix(layer + "attn_q.weight", q_rows, c.width);
    w.wk = bind.matrix(layer + "attn_k.weight", kv_rows, c.width);
    w.wv = bind.matrix(layer + "attn_v.weight", kv_rows, c.width);
  }
  const auto bias = [&](const char* name, std::size_t rows) {
    return c.qkv_bias ? bind.vector(layer + name, rows) : bind.vector_if_there(layer + name, rows);
  };
  w.bq = bias("attn_q.bias", q_rows);
  w.bk = bias("attn_k.bias", kv_rows);
  w.bv = bias("attn_v.bias", kv_rows);
  if (c.qk_norm) {
    w.q_norm = bind.vector(layer + "attn_q_norm.weight", c.head_dim);
    w.k_norm = bind.vector(layer + "attn_k_norm.weight", c.head_dim);
  }
}

LayerWeights bind_layer(Binder& bind, const std::string& layer, const ModelConfig& c) {
  LayerWeights w;
  w.attn_norm = bind.vector(layer + "attn_norm.weight", c.width);
  bind_qkv(bind, layer, c, w);
  w.wo = bind.matrix(layer + "attn_output.weight", c.width, c.heads * c.head_dim);
  w.bo = bind.vector_if_there(layer + "attn_output.bias", c.width);
  w.ffn_norm = bind.vector(layer + "ffn_norm.weight", c.width);
  w.w_gate = bind.matrix(layer + "ffn_gate.weight", c.hidden, c.width);
  w.w_up = bind.matrix(layer + "ffn_up.weight", c.hidden, c.width);
  w.w_down = bind.matrix(layer + "ffn_down.weight", c.width, c.hidden);
  if (c.post_norms) {
    w.post_attn_norm = bind.vector(layer + "post_attention_norm.weight", c.width);
    w.post_ffn_norm = bind.vector(layer + "post_ffw_norm.weight", c.width);
  }
  return w;
}

// base^(-2i / dim) / factor, and what Llama 3.1 and later divide each frequency by (gguf.md, 6.1 and 6.2).
Tensor bind_frequencies(Binder& bind, const ModelConfig& c, const RopeConfig& rope) {
  const std::size_t pairs = c.rope_dim / 2;
  std::vector<float> divisors(pairs, 1);
  const bool divided = c.architecture == "llama" && bind.file().find("rope_freqs.weight") != nullptr;
  if (divided) divisors = bind.values("rope_freqs.weight", pairs);
  std::vector<float> frequencies(pairs);
  for (std::size_t i = 0; i < pairs; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(c.rope_dim);
    frequencies[i] = static_cast<float>(std::pow(rope.base, exponent) / rope.factor / static_cast<double>(divisors[i]));
  }
  return bind.adopt(std::move(frequencies));
}

std::size_t count_tokens(const ModelFile& file, std::size_t rows) {
  const Value* value = file.metadata().find("tokenizer.ggml.tokens");
  const auto* tokens = value == nullptr ? nullptr : std::get_if<ValueArray>(value);
  return tokens == nullptr ? rows : std::min<std::size_t>(rows, tokens->count);
}

}  // namespace

Weights bind_weights(ModelConfig& config, const ModelFile& file, const Placement& placement) {
  Weights weights;
  Binder bind(file, weights);
  const std::size_t border = config.layers.size() - placement.gpu_layers;
  Backend& input = border > 0 ? placement.backend : *placement.gpu;
  Backend& output = placement.gpu == nullptr ? placement.backend : *placement.gpu;
  bind.bind_to(input);

  const std::size_t rows = as_matrix(file.need("token_embd.weight")).rows;
  config.vocabulary = count_tokens(file, rows);
  if (config.vocabulary == 0) throw BadFile(file.path() + ": tokenizer.ggml.tokens: empty, expected one for each id");
  const auto vocabulary_rows = [&](const char* name) {
    return bind.matrix_rows(name, rows, config.width, 0, config.vocabulary);
  };
  weights.embed = vocabulary_rows("token_embd.weight");
  if (border > 0)
    for (const RopeConfig& rope : config.ropes) weights.frequencies.push_back(bind_frequencies(bind, config, rope));
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    if (i == border) bind.bind_to(output);
    weights.layers.push_back(bind_layer(bind, "blk." + std::to_string(i) + ".", config));
  }
  bind.bind_to(output);
  const bool tied = file.find("output.weight") == nullptr;
  weights.output =
      tied && &input == &output ? weights.embed : vocabulary_rows(tied ? "token_embd.weight" : "output.weight");
  weights.output_norm = bind.vector("output_norm.weight", config.width);
  if (placement.gpu != nullptr)
    for (const RopeConfig& rope : config.ropes) weights.gpu_frequencies.push_back(bind_frequencies(bind, config, rope));
  bind.list_unused();
  return weights;
}

}  // namespace carat
