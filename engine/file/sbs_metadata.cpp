#include "engine/file/sbs_metadata.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"
#include "engine/file/sbs_models.h"

namespace carat {

namespace {

constexpr std::uint32_t kMaxLayers = 512;
constexpr std::uint32_t kMaxSize = 1u << 20;
constexpr std::uint32_t kTrainedContext = 131072;  // of Gemma 3 from 4B on; gemma.cpp says 32768

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw BadFile(file + ": blob 'config': " + why);
}

void check_layer(const SbsLayerConfig& layer, const SbsConfig& config, const std::string& file) {
  if (layer != config.layer_configs.front())
    throw Unsupported(file + ": blob 'config': layers that differ are not supported");
  const auto range = [&](const char* name, std::uint32_t value, std::uint32_t max) {
    if (value == 0 || value > max)
      refuse(file, std::string(name) + " is " + std::to_string(value) + ", expected 1 to " + std::to_string(max));
  };
  range("ff_hidden_dim", layer.ff_hidden_dim, kMaxSize);
  range("heads", layer.heads, 256);  // each is planned for, in every layer
  range("kv_heads", layer.kv_heads, layer.heads);
  range("qkv_dim", layer.qkv_dim, 4096);
  if (layer.heads % layer.kv_heads != 0) refuse(file, "kv_heads does not divide heads");
  if (layer.model_dim != config.model_dim) refuse(file, "model_dim of a layer differs from the model's");
  if (layer.type != 0 || layer.activation != 0 || layer.post_qk != 0 || layer.post_norm > 1 || layer.ff_biases ||
      layer.unused_softmax_attn_output_biases)
    throw Unsupported(file + ": blob 'config': layers of a kind that Gemma 1 to 3 do not have are not supported");
}

// Which layers see only a window, and how large it is; 0 = all see all.
std::uint32_t window_of(const SbsConfig& config, const ModelConfig& shape, const std::string& file) {
  std::uint32_t window = 0;
  for (std::size_t i = 0; i < config.attention_window_sizes.size(); ++i) {
    const std::uint32_t size = config.attention_window_sizes[i];
    if (size == 0) refuse(file, "a window of 0 positions");
    if (size >= config.max_seq_len) continue;
    if (window != 0 && size != window)
      throw Unsupported(file + ": blob 'config': windows of different sizes are not supported");
    if (shape.architecture == "gemma" || (shape.architecture == "gemma2" && i % 2 != 0))
      throw Unsupported(file + ": blob 'config': layer " + std::to_string(i) + " of a " + shape.architecture +
                        " has a window, which is not supported");
    window = size;
  }
  return window;
}

// Keys under the architecture's name.
class KeyWriter {
 public:
  KeyWriter(Metadata& metadata, std::string_view prefix, std::vector<std::vector<std::byte>>& texts)
      : metadata_(metadata), prefix_(std::string(prefix) + "."), texts_(texts) {}

  void count(const char* name, std::size_t value) { metadata_.add(prefix_ + name, static_cast<std::uint32_t>(value)); }
  void real(const char* name, float value) { metadata_.add(prefix_ + name, value); }
  void text(const char* name, std::string_view value) { metadata_.add(prefix_ + name, keep(value)); }
  void flags(const char* name, const std::vector<bool>& values) {
    ByteWriter packed;
    for (const bool value : values) packed.write<std::uint8_t>(value ? 1 : 0);
    texts_.push_back(std::move(packed).finish());
    metadata_.add(prefix_ + name, ValueArray{kValueType<bool>, values.size(), texts_.back()});
  }

 private:
  std::string_view keep(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    const auto& kept = texts_.emplace_back(bytes.begin(), bytes.end());
    return {reinterpret_cast<const char*>(kept.data()), kept.size()};
  }

  Metadata& metadata_;
  std::string prefix_;
  std::vector<std::vector<std::byte>>& texts_;
};

void add_sizes(KeyWriter& arch, const SbsConfig& config, const ModelConfig& shape) {
  arch.count("block_count", shape.layers.size());
  arch.count("context_length", shape.context);
  arch.count("embedding_length", shape.width);
  arch.count("feed_forward_length", shape.hidden);
  arch.count("attention.head_count", shape.heads);
  arch.count("attention.head_count_kv", shape.kv_heads);
  arch.count("attention.key_length", shape.head_dim);
  arch.count("attention.value_length", shape.head_dim);
  arch.real("attention.layer_norm_rms_epsilon", 1e-6f);
  if (shape.architecture == "gemma2") arch.real("attn_logit_softcapping", config.att_cap);
  if (shape.architecture == "gemma2" || config.final_cap > 0) arch.real("final_logit_softcapping", config.final_cap);
}

// What gemma.cpp computes otherwise than the models were trained: the bases and the factor of Gemma 3's global layers.
void add_positions(KeyWriter& arch, const SbsConfig& config, const ModelConfig& shape, std::uint32_t window) {
  const bool gemma3 = shape.architecture == "gemma3";
  if (window > 0) arch.count("attention.sliding_window", window);
  // Gemma 2 has a window whether a file says so or not: one that reaches everywhere is none.
  if (window == 0 && shape.architecture == "gemma2") arch.count("attention.sliding_window", shape.context);
  if (window > 0 && gemma3) {
    std::vector<bool> local;
    for (const std::uint32_t size : config.attention_window_sizes) local.push_back(size < config.max_seq_len);
    arch.flags("attention.sliding_window_pattern", local);
  }
  arch.real("rope.freq_base", gemma3 ? 1e6f : 1e4f);
  if (!gemma3) return;
  arch.text("rope.scaling.type", is_long_gemma3(config.model) ? "linear" : "none");
  if (is_long_gemma3(config.model)) arch.real("rope.scaling.factor", 8);
}

void add_tokens(KeyWriter& tokenizer, const SbsConfig& config, const ModelConfig& shape) {
  // Files of before March 2025 do not say what ends a turn.
  const bool unsaid = config.secondary_eos_id == 1;
  const std::int32_t turn = unsaid ? end_of_turn(shape.architecture) : config.secondary_eos_id;
  tokenizer.count("padding_token_id", 0);
  tokenizer.count("eos_token_id", static_cast<std::uint32_t>(config.eos_id));
  tokenizer.count("bos_token_id", 2);
  tokenizer.count("unknown_token_id", 3);
  tokenizer.count("eot_token_id", static_cast<std::uint32_t>(turn));
}

}  // namespace

ModelConfig sbs_shape(const SbsConfig& config, const std::string& file) {
  const auto unsupported = [&](const char* what) {
    throw Unsupported(file + ": blob 'config': " + what + " is not supported");
  };
  if (config.num_layers == 0 || config.num_layers > kMaxLayers) refuse(file, "num_layers is out of range");
  if (config.layer_configs.size() != config.num_layers) refuse(file, "has not one layer_config for each layer");
  if (config.attention_window_sizes.size() != config.num_layers) refuse(file, "has not one window for each layer");
  if (config.model_dim == 0 || config.model_dim > kMaxSize) refuse(file, "model_dim is out of range");
  if (config.max_seq_len == 0 || config.max_seq_len > 1u << 30) refuse(file, "max_seq_len is out of range");
  if (config.vocab_size == 0) refuse(file, "vocab_size is 0");
  if (config.att_cap < 0 || config.final_cap < 0 || config.att_cap > 1e6f || config.final_cap > 1e6f)
    refuse(file, "a soft cap is out of range");
  if (config.eos_id < 0 || config.secondary_eos_id < 0) refuse(file, "an end token is negative");
  for (const SbsLayerConfig& layer : config.layer_configs) check_layer(layer, config, file);

  const SbsLayerConfig& layer = config.layer_configs.front();
  ModelConfig shape;
  shape.post_norms = layer.post_norm == 1;
  shape.qk_norm = layer.use_qk_norm;
  if (shape.qk_norm && !shape.post_norms) unsupported("a model with norms of queries and none of branches");
  shape.architecture = shape.qk_norm ? "gemma3" : shape.post_norms ? "gemma2" : "gemma";
  if (shape.architecture != "gemma2" && config.att_cap != 0) unsupported("a soft cap of attention in this family");
  if (config.absolute_pe) unsupported("absolute position encoding");
  if (config.query_scale > 1 || (config.query_scale == 1 && config.num_layers != 46 && config.num_layers != 62))
    unsupported("this query_scale for a model of this size");
  shape.layers.resize(config.num_layers);
  shape.context = config.max_seq_len;
  if (is_long_gemma3(config.model) && config.max_seq_len == 32768) shape.context = kTrainedContext;
  shape.width = config.model_dim;
  shape.hidden = layer.ff_hidden_dim;
  shape.heads = layer.heads;
  shape.kv_heads = layer.kv_heads;
  shape.head_dim = layer.qkv_dim;
  shape.vocabulary = config.vocab_size;
  return shape;
}

Metadata sbs_metadata(const SbsConfig& config, std::string_view tokenizer, const std::string& file,
                      std::vector<std::vector<std::byte>>& texts) {
  const ModelConfig shape = sbs_shape(config, file);
  Metadata metadata(file);
  KeyWriter general(metadata, "general", texts), arch(metadata, shape.architecture, texts),
      tokens(metadata, "tokenizer.ggml", texts);
  general.text("architecture", shape.architecture);
  general.text("type", "model");
  if (!config.display_name.empty()) general.text("name", config.display_name);
  general.text("finetune", config.wrapping == SbsWrapping::gemma_pt ? "pt" : "it");
  add_sizes(arch, config, shape);
  add_positions(arch, config, shape, window_of(config, shape, file));
  add_tokens(tokens, config, shape);
  metadata.add("tokenizer.ggml.add_bos_token", true);
  metadata.add("tokenizer.ggml.add_eos_token", false);
  if (!tokenizer.empty()) {
    tokens.text("model", "llama");
    tokens.text("pre", "default");
    metadata.add(std::string(kSentencePieceKey), tokenizer);
  }
  return metadata;
}

}  // namespace carat
