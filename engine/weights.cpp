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

// Looks tensors up by name and checks them against what the configuration says.
class Binder {
 public:
  Binder(const ModelFile& file, Backend& backend, Weights& weights)
      : file_(file), backend_(backend), weights_(weights) {}

  // A matrix [rows, cols] of any type.
  Tensor matrix(const std::string& name, std::size_t rows, std::size_t cols) {
    return backend_.adopt_weight(checked(file_.need(name), rows, cols));
  }
  Tensor matrix_if_there(const std::string& name, std::size_t rows, std::size_t cols) {
    return file_.find(name) == nullptr ? Tensor{} : matrix(name, rows, cols);
  }

  // A gain or bias [1, cols], as f32 whatever the file holds.
  Tensor vector(const std::string& name, std::size_t cols) {
    const Tensor found = checked(file_.need(name), 1, cols);
    if (found.dtype == DType::f32 && found.scale == 1) return backend_.adopt_weight(found);
    std::vector<float> values(cols);
    dequantize_row(found.dtype, found.where, values.data(), cols);
    for (float& value : values) value *= found.scale;
    return adopt(std::move(values));
  }
  Tensor vector_if_there(const std::string& name, std::size_t cols) {
    return file_.find(name) == nullptr ? Tensor{} : vector(name, cols);
  }

  Tensor adopt(std::vector<float> values) {
    std::vector<float>& kept = weights_.values.emplace_back(std::move(values));
    return backend_.adopt_weight({DType::f32, 1, kept.size(), kept.data()});
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
  Backend& backend_;
  Weights& weights_;
  std::set<std::string_view> used_;
};

// q, k and v: three tensors, or one with their rows in this order.
void bind_qkv(Binder& bind, const std::string& layer, const ModelConfig& c, LayerWeights& w) {
  const std::size_t q_rows = c.heads * c.head_dim, kv_rows = c.kv_heads * c.head_dim;
  if (bind.file().find(layer + "attn_q.weight") == nullptr && bind.file().find(layer + "attn_qkv.weight") != nullptr) {
    const Tensor all = bind.matrix(layer + "attn_qkv.weight", q_rows + 2 * kv_rows, c.width);
    w.wq = row_view(all, 0, q_rows);
    w.wk = row_view(all, q_rows, kv_rows);
    w.wv = row_view(all, q_rows + kv_rows, kv_rows);
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
  if (divided) {
    const Tensor file_divisors = bind.vector("rope_freqs.weight", pairs);
    std::copy_n(static_cast<const float*>(file_divisors.where), pairs, divisors.begin());
  }
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

Weights bind_weights(ModelConfig& config, const ModelFile& file, Backend& backend) {
  Weights weights;
  Binder bind(file, backend, weights);

  const std::size_t rows = as_matrix(file.need("token_embd.weight")).rows;
  config.vocabulary = count_tokens(file, rows);
  if (config.vocabulary == 0) throw BadFile(file.path() + ": tokenizer.ggml.tokens: empty, expected one for each id");
  weights.embed = row_view(bind.matrix("token_embd.weight", rows, config.width), 0, config.vocabulary);
  const Tensor output = bind.matrix_if_there("output.weight", rows, config.width);
  weights.output = present(output) ? row_view(output, 0, config.vocabulary) : weights.embed;
  weights.output_norm = bind.vector("output_norm.weight", config.width);
  for (const RopeConfig& rope : config.ropes) weights.frequencies.push_back(bind_frequencies(bind, config, rope));
  for (std::size_t i = 0; i < config.layers.size(); ++i)
    weights.layers.push_back(bind_layer(bind, "blk." + std::to_string(i) + ".", config));
  bind.list_unused();
  return weights;
}

}  // namespace carat
