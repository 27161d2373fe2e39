// Models of a few thousand made-up weights, of every family, written with our own writer: for tests that need a whole
// network and no fixtures.
#pragma once
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/file/gguf.h"
#include "engine/model.h"
#include "kernels/quant/codecs.h"

namespace carat::test {

struct TinyShape {
  std::string architecture = "llama";
  std::size_t layers = 2, width = 64, hidden = 96, heads = 4, kv_heads = 2, head_dim = 16, vocabulary = 80;
  std::size_t context = 256, window = 8;
  DType dtype = DType::f16;
  unsigned seed = 1;
};

class TinyModelWriter {
 public:
  explicit TinyModelWriter(const TinyShape& shape) : s_(shape), random_(shape.seed) {
    metadata();
    tensors();
  }

  std::vector<std::byte> bytes() const {
    std::vector<std::byte> out;
    writer_.write([&](std::span<const std::byte> part) { out.insert(out.end(), part.begin(), part.end()); });
    return out;
  }

  GgufWriter& writer() { return writer_; }

 private:
  bool is(std::string_view name) const { return s_.architecture == name; }
  bool gemma() const { return s_.architecture.starts_with("gemma"); }

  void metadata() {
    const std::string prefix = s_.architecture + ".";
    const auto count = [&](const char* name, std::size_t value) {
      writer_.set(prefix + name, static_cast<std::uint32_t>(value));
    };
    writer_.set("general.architecture", std::string_view(s_.architecture));
    count("block_count", s_.layers);
    count("context_length", s_.context);
    count("embedding_length", s_.width);
    count("feed_forward_length", s_.hidden);
    count("attention.head_count", s_.heads);
    count("attention.head_count_kv", s_.kv_heads);
    count("attention.key_length", s_.head_dim);
    count("attention.value_length", s_.head_dim);
    if (is("gemma2") || is("gemma3")) count("attention.sliding_window", s_.window);
    writer_.set(prefix + "attention.layer_norm_rms_epsilon", 1e-6f);
  }

  void tensors() {
    const std::size_t q = s_.heads * s_.head_dim, kv = s_.kv_heads * s_.head_dim;
    matrix("token_embd.weight", s_.vocabulary, s_.width);
    vector("output_norm.weight", s_.width, 1);
    for (std::size_t i = 0; i < s_.layers; ++i) {
      const std::string layer = "blk." + std::to_string(i) + ".";
      vector(layer + "attn_norm.weight", s_.width, 1);
      matrix(layer + "attn_q.weight", q, s_.width);
      matrix(layer + "attn_k.weight", kv, s_.width);
      matrix(layer + "attn_v.weight", kv, s_.width);
      matrix(layer + "attn_output.weight", s_.width, q);
      vector(layer + "ffn_norm.weight", s_.width, 1);
      matrix(layer + "ffn_gate.weight", s_.hidden, s_.width);
      matrix(layer + "ffn_up.weight", s_.hidden, s_.width);
      matrix(layer + "ffn_down.weight", s_.width, s_.hidden);
      if (is("gemma2") || is("gemma3")) {
        vector(layer + "post_attention_norm.weight", s_.width, 1);
        vector(layer + "post_ffw_norm.weight", s_.width, 1);
      }
      if (is("gemma3") || is("qwen3")) {
        vector(layer + "attn_q_norm.weight", s_.head_dim, 1);
        vector(layer + "attn_k_norm.weight", s_.head_dim, 1);
      }
      if (is("qwen2")) {
        vector(layer + "attn_q.bias", q, 0);
        vector(layer + "attn_k.bias", kv, 0);
        vector(layer + "attn_v.bias", kv, 0);
      }
    }
  }

  std::vector<float> normal(std::size_t n, float mean, float spread) {
    std::normal_distribution<float> distribution(mean, spread);
    std::vector<float> values(n);
    for (float& value : values) value = distribution(random_);
    return values;
  }

  void matrix(const std::string& name, std::size_t rows, std::size_t cols) {
    const std::vector<float> values = normal(rows * cols, 0, 1 / std::sqrt(static_cast<float>(cols)));
    auto& kept = *kept_.emplace_back(std::make_unique<std::vector<std::byte>>(rows * row_bytes(s_.dtype, cols)));
    for (std::size_t r = 0; r < rows; ++r)
      quantize_row(s_.dtype, &values[r * cols], &kept[r * row_bytes(s_.dtype, cols)], cols);
    writer_.add_tensor(name, s_.dtype, {cols, rows}, kept);
  }

  void vector(const std::string& name, std::size_t n, float mean) {
    const std::vector<float> values = normal(n, mean, 0.1f);
    const auto bytes = std::as_bytes(std::span(values));
    auto& kept = *kept_.emplace_back(std::make_unique<std::vector<std::byte>>(bytes.begin(), bytes.end()));
    writer_.add_tensor(name, DType::f32, {n}, kept);
  }

  TinyShape s_;
  std::mt19937 random_;
  GgufWriter writer_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> kept_;
};

// A model together with the bytes and the file it lives in.
struct TinyModel {
  std::vector<std::byte> bytes;
  ModelFile file;
  Model model;

  explicit TinyModel(const TinyShape& shape = {}, const BackendOptions& backend = {})
      : bytes(TinyModelWriter(shape).bytes()),
        file(parse_gguf(bytes, "tiny")),
        model(load_model(file, make_cpu_backend(backend))) {}
};

}  // namespace carat::test
