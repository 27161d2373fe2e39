// From the engine's terms to a configuration that gemma.cpp reads: the way back of sbs_metadata.cpp.
#include <algorithm>
#include <utility>

#include "engine/error.h"
#include "engine/file/sbs_config.h"
#include "engine/file/sbs_models.h"

namespace carat {

namespace {

constexpr std::size_t kMaxNameBytes = 256;  // 64 words

[[noreturn]] void refuse(std::string_view file, const std::string& what) {
  throw Unsupported(std::string(file) + ": an .sbs file cannot say " + what);
}

bool has_shape(const KnownGemma& known, const ModelConfig& c) {
  return known.architecture == c.architecture && known.layers == c.layers.size() && known.width == c.width &&
         known.hidden == c.hidden && known.heads == c.heads && known.kv_heads == c.kv_heads &&
         known.head_dim == c.head_dim && known.vocabulary == c.vocabulary;
}

// A published model of this shape, or the one of its family that is computed the same way.
SbsModel model_of(const ModelConfig& c) {
  const auto known = std::ranges::find_if(known_gemmas(), [&](const KnownGemma& row) { return has_shape(row, c); });
  if (known != known_gemmas().end()) return known->model;
  if (c.architecture == "gemma") return c.heads == c.kv_heads ? SbsModel::gemma_7b : SbsModel::gemma_2b;
  if (c.architecture == "gemma2") return c.layers.size() == 46 ? SbsModel::gemma2_27b : SbsModel::gemma2_2b;
  return c.ropes.front().factor == 8 ? SbsModel::gemma3_4b : SbsModel::gemma3_1b;
}

// gemma.cpp takes only ASCII, and no zeros.
std::string display_name(const ModelConfig& c, SbsModel model) {
  std::string name;
  for (const char letter : c.name.substr(0, kMaxNameBytes))
    if (letter >= ' ' && letter < 127) name += letter;
  if (!name.empty()) return name;
  const auto known = std::ranges::find(known_gemmas(), model, &KnownGemma::model);
  return std::string(known->name);
}

// What is fixed for gemma.cpp by the number of the model must be what the model has.
void check_positions(const ModelConfig& c, SbsModel model, std::string_view file) {
  const bool gemma3 = c.architecture == "gemma3";
  const double factor = is_long_gemma3(model) ? 8 : 1;
  const RopeConfig& global = c.ropes.front();
  if (global.base != (gemma3 ? 1e6 : 1e4) || (gemma3 && c.ropes.back().base != 1e4))
    refuse(file, "that the base of the rotations is " + std::to_string(global.base));
  if (global.factor != factor) refuse(file, "that positions are divided by " + std::to_string(global.factor));
  if (c.rope_dim != c.head_dim) refuse(file, "that heads turn in part");
}

SbsLayerConfig layer_from(const ModelConfig& c) {
  SbsLayerConfig layer;
  layer.model_dim = static_cast<std::uint32_t>(c.width);
  layer.ff_hidden_dim = static_cast<std::uint32_t>(c.hidden);
  layer.heads = static_cast<std::uint32_t>(c.heads);
  layer.kv_heads = static_cast<std::uint32_t>(c.kv_heads);
  layer.qkv_dim = static_cast<std::uint32_t>(c.head_dim);
  layer.optimized_gating = c.qk_norm;
  layer.post_norm = c.post_norms ? 1 : 0;
  layer.use_qk_norm = c.qk_norm;
  return layer;
}

// Some files write 0xffffffff for "none".
std::int32_t token_or(const Metadata& metadata, std::string_view key, std::int32_t fallback) {
  const std::size_t id = metadata.count_or(key, static_cast<std::size_t>(fallback), 0, 0xFFFFFFFF);
  return std::in_range<std::int32_t>(id) ? static_cast<std::int32_t>(id) : fallback;
}

}  // namespace

SbsConfig sbs_config_from(const ModelConfig& c, const Metadata& metadata, std::string_view file) {
  if (!c.architecture.starts_with("gemma"))
    refuse(file, "that a model is of the family " + c.architecture + ", only gemma, gemma2 and gemma3");
  const SbsModel model = model_of(c);
  check_positions(c, model, file);

  SbsConfig config = canonical_config(*std::ranges::find(known_gemmas(), model, &KnownGemma::model));
  config.display_name = display_name(c, model);
  const bool pretrained = metadata.text_or("general.finetune", "it") == "pt";
  config.wrapping = pretrained ? SbsWrapping::gemma_pt : SbsWrapping::gemma_it;
  config.num_layers = static_cast<std::uint32_t>(c.layers.size());
  config.model_dim = static_cast<std::uint32_t>(c.width);
  config.vocab_size = static_cast<std::uint32_t>(c.vocabulary);
  config.max_seq_len = static_cast<std::uint32_t>(c.context);
  config.att_cap = c.attention_cap;
  config.final_cap = c.logit_cap;
  config.layer_configs.assign(c.layers.size(), layer_from(c));
  config.attention_window_sizes.clear();
  for (const LayerConfig& layer : c.layers)
    config.attention_window_sizes.push_back(static_cast<std::uint32_t>(layer.window > 0 ? layer.window : c.context));
  config.eos_id = token_or(metadata, "tokenizer.ggml.eos_token_id", 1);
  config.secondary_eos_id = token_or(metadata, "tokenizer.ggml.eot_token_id", end_of_turn(c.architecture));
  return config;
}

}  // namespace carat
