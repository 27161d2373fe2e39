// Gemma 1, 2 and 3, text (gguf.md, 4 to 6; Gemma 2: arXiv 2408.00118; Gemma 3: arXiv 2503.19786).
#include <cmath>

#include "engine/arch/arch.h"

namespace carat {

namespace {

constexpr std::size_t kMaxWindow = std::size_t{1} << 30;

// The largest of Gemma 2 and 3 scale queries by the width per head instead of the length of a head.
void scale_queries_by_width(ModelConfig& c) {
  c.query_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.width / c.heads)));
}

float cap(const ArchKeys& keys, std::string_view name, double fallback) {
  return static_cast<float>(keys.metadata().real_or(keys.key(name), fallback, 0, 1e6));
}

// Which layers of Gemma 3 see only a window: all but every sixth, unless the file says otherwise.
std::vector<bool> local_layers(const ArchKeys& keys, std::size_t layers) {
  const std::string key = keys.key("attention.sliding_window_pattern");
  std::vector<bool> local(layers);
  if (keys.metadata().is_array(key)) {
    const auto pattern = keys.metadata().integers(key, 0, 1);
    if (pattern.size() != layers)
      keys.refuse("attention.sliding_window_pattern",
                  "has " + std::to_string(pattern.size()) + " values, expected one for each layer");
    for (std::size_t i = 0; i < layers; ++i) local[i] = pattern[i] != 0;
  } else {
    const std::size_t every = keys.metadata().count_or(key, 6, 1, layers + 6);
    for (std::size_t i = 0; i < layers; ++i) local[i] = (i + 1) % every != 0;
  }
  return local;
}

ModelConfig read_any_gemma(const ArchKeys& keys, std::optional<double> eps_if_missing = std::nullopt) {
  ModelConfig c = keys.common(eps_if_missing);
  c.embed_scale = static_cast<float>(std::sqrt(static_cast<double>(c.width)));
  c.gate = Gate::gelu;
  return c;
}

}  // namespace

ModelConfig read_gemma(const ArchKeys& keys) { return read_any_gemma(keys); }

ModelConfig read_gemma2(const ArchKeys& keys) {
  ModelConfig c = read_any_gemma(keys);
  c.post_norms = true;
  c.attention_cap = cap(keys, "attn_logit_softcapping", 50);
  c.logit_cap = cap(keys, "final_logit_softcapping", 30);
  const std::size_t window = keys.metadata().count_or(keys.key("attention.sliding_window"), 4096, 1, kMaxWindow);
  for (std::size_t i = 0; i < c.layers.size(); i += 2) c.layers[i].window = window;
  if (c.layers.size() == 46) scale_queries_by_width(c);  // 27B
  return c;
}

ModelConfig read_gemma3(const ArchKeys& keys) {
  const Metadata& metadata = keys.metadata();
  ModelConfig c = read_any_gemma(keys, 1e-6);  // files made by ollama leave the epsilon out
  c.post_norms = true;
  c.qk_norm = true;
  c.logit_cap = cap(keys, "final_logit_softcapping", 0);
  if (c.layers.size() == 62) scale_queries_by_width(c);  // 27B

  // Two rotations: far-reaching for the global layers, plain for the local ones. Files made by ollama have names of
  // their own for the bases, and leave out the scaling that every model with a context of 128K was trained with.
  const double global = metadata.real_or(keys.key("rope.global.freq_base"), 1e6, 1e-3, 1e12);
  const double local = metadata.real_or(keys.key("rope.local.freq_base"), 1e4, 1e-3, 1e12);
  const bool scaling_left_out = !keys.has("rope.scaling.type") && !keys.has("rope.scaling.factor");
  c.ropes = {{metadata.real_or(keys.key("rope.freq_base"), global, 1e-3, 1e12),
              scaling_left_out && c.context >= 131072 ? 8.0 : keys.rope_factor()},
             {metadata.real_or(keys.key("rope.freq_base_swa"), local, 1e-3, 1e12), 1}};

  const std::size_t window = metadata.count_or(keys.key("attention.sliding_window"), 0, 1, kMaxWindow);
  if (window == 0) return c;
  const std::vector<bool> is_local = local_layers(keys, c.layers.size());
  for (std::size_t i = 0; i < c.layers.size(); ++i)
    if (is_local[i]) c.layers[i] = {window, 1};
  return c;
}

}  // namespace carat
