#include "engine/file/sbs_models.h"

#include <algorithm>
#include <array>
#include <map>

#include "engine/error.h"
#include "engine/file/sbs_metadata.h"
#include "engine/file/sbs_names.h"
#include "engine/file/sbs_unpack.h"

namespace carat {

namespace {

using enum SbsModel;

// sbs.md, sections 5, 6 and 9.1.
constexpr std::array kKnown = {
    KnownGemma{gemma_2b, "2b", "Gemma_2B", "gemma", 18, 2048, 16384, 8, 1, 256, 256000, 8192, 0},
    KnownGemma{gemma_7b, "7b", "Gemma_7B", "gemma", 28, 3072, 24576, 16, 16, 256, 256000, 8192, 0},
    KnownGemma{gemma2_2b, "gemma2-2b", "Gemma2_2B", "gemma2", 26, 2304, 9216, 8, 4, 256, 256000, 8192, 4096},
    KnownGemma{gemma2_9b, "9b", "Gemma2_9B", "gemma2", 42, 3584, 14336, 16, 8, 256, 256000, 8192, 4096},
    KnownGemma{gemma2_27b, "27b", "Gemma2_27B", "gemma2", 46, 4608, 36864, 32, 16, 128, 256000, 8192, 4096},
    KnownGemma{paligemma2_3b_224, "paligemma2-3b-224", "PaliGemma2_3B_224", "gemma2", 26, 2304, 9216, 8, 4, 256, 257152,
               8192, 4096},
    KnownGemma{paligemma2_10b_224, "paligemma2-10b-224", "PaliGemma2_10B_224", "gemma2", 42, 3584, 14336, 16, 8, 256,
               257152, 8192, 4096},
    KnownGemma{gemma3_270m, "gemma3-270m", "Gemma3_270M", "gemma3", 18, 640, 2048, 4, 1, 256, 262144, 32768, 512},
    KnownGemma{gemma3_1b, "gemma3-1b", "Gemma3_1B", "gemma3", 26, 1152, 6912, 4, 1, 256, 262144, 32768, 512},
    KnownGemma{gemma3_4b, "gemma3-4b", "Gemma3_4B", "gemma3", 34, 2560, 10240, 8, 4, 256, 262144, 32768, 1024},
    KnownGemma{gemma3_12b, "gemma3-12b", "Gemma3_12B", "gemma3", 48, 3840, 15360, 16, 8, 256, 262144, 32768, 1024},
    KnownGemma{gemma3_27b, "gemma3-27b", "Gemma3_27B", "gemma3", 62, 5376, 21504, 32, 16, 128, 262144, 32768, 1024},
};

SbsWrapping canonical_wrapping(const KnownGemma& known) {
  if (known.name.starts_with("PaliGemma")) return SbsWrapping::paligemma;
  const bool vision = known.architecture == "gemma3" && known.model != gemma3_270m;
  return vision ? SbsWrapping::gemma_vlm : SbsWrapping::gemma_it;
}

SbsLayerConfig canonical_layer(const KnownGemma& known) {
  const bool gemma3 = known.architecture == "gemma3";
  SbsLayerConfig layer;
  layer.model_dim = known.width;
  layer.ff_hidden_dim = known.hidden;
  layer.heads = known.heads;
  layer.kv_heads = known.kv_heads;
  layer.qkv_dim = known.head_dim;
  layer.optimized_gating = gemma3;
  layer.post_norm = known.architecture == "gemma" ? 0 : 1;
  layer.use_qk_norm = gemma3;
  return layer;
}

// Bytes of a tensor in the files of before 2025.
std::uint64_t old_bytes(SbsType type, std::uint64_t elements) {
  return type == SbsType::nuq ? nuq_tables_first_bytes(elements) : sbs_bytes(type, elements);
}

using ByName = std::map<std::string_view, const UnshapedTensor*>;

bool is_stacked(std::string_view name) {
  return name.starts_with("qkv_ein") || name.starts_with("att_ein") || name.starts_with("gating_ein");
}

// Every tensor of the model that is there has the model's size; only what has another form may be absent; and there is
// no further layer.
bool matches(const KnownGemma& known, const ByName& found) {
  const ModelConfig shape = sbs_shape(canonical_config(known), "");
  const auto fits = [&](const SbsTensorPlan& plan, bool optional) {
    const auto at = found.find(plan.name);
    if (at == found.end()) return optional;
    return at->second->bytes == old_bytes(at->second->type, std::uint64_t{plan.rows} * plan.cols);
  };
  if (found.contains("pre_ff_ns_" + std::to_string(known.layers))) return false;
  if (found.contains("query_norm_0") != shape.qk_norm || found.contains("post_ff_ns_0") != shape.post_norms)
    return false;
  return std::ranges::all_of(sbs_plan(shape), [&](const auto& plan) { return fits(plan, is_stacked(plan.name)); }) &&
         std::ranges::all_of(sbs_alternatives(shape), [&](const auto& plan) { return fits(plan, true); });
}

}  // namespace

std::span<const KnownGemma> known_gemmas() { return kKnown; }

std::int32_t end_of_turn(std::string_view architecture) { return architecture == "gemma3" ? 106 : 107; }

bool is_long_gemma3(SbsModel model) { return model == gemma3_4b || model == gemma3_12b || model == gemma3_27b; }

SbsConfig canonical_config(const KnownGemma& known) {
  const bool gemma2 = known.architecture == "gemma2", gemma3 = known.architecture == "gemma3";
  SbsConfig config;
  config.display_name = known.name;
  config.model = known.model;
  config.wrapping = canonical_wrapping(known);
  config.num_layers = known.layers;
  config.model_dim = known.width;
  config.vocab_size = known.vocabulary;
  config.max_seq_len = known.context;
  config.att_cap = gemma2 ? 50 : 0;
  config.final_cap = gemma2 ? 30 : 0;
  config.query_scale = known.model == gemma2_27b ? 1 : 0;
  config.layer_configs.assign(known.layers, canonical_layer(known));
  const std::uint32_t every = gemma3 ? 6 : 2;  // the layer that sees all
  for (std::uint32_t i = 0; i < known.layers; ++i) {
    const bool local = known.window > 0 && (i + 1) % every != 0;
    config.attention_window_sizes.push_back(local ? known.window : known.context);
  }
  config.secondary_eos_id = end_of_turn(known.architecture);
  config.scale_base_names = {"att_ein",      "qkv_ein",   "gr_lin_x_w", "gr_lin_y_w",
                             "gr_lin_out_w", "gr_gate_w", "gating_ein", "linear_w"};
  return config;
}

std::optional<NamedGemma> find_gemma(std::string_view name) {
  NamedGemma found{nullptr, std::nullopt};
  if (name.ends_with("-it")) found.wrapping = SbsWrapping::gemma_it;
  if (name.ends_with("-pt")) found.wrapping = SbsWrapping::gemma_pt;
  if (found.wrapping) name.remove_suffix(3);
  const auto known = std::ranges::find_if(kKnown, [&](const KnownGemma& row) {
    return name == row.specifier || name == std::string(row.architecture) + "-" + std::string(row.specifier);
  });
  if (known == kKnown.end()) return std::nullopt;
  found.known = &*known;
  return found;
}

SbsConfig completed(SbsConfig config, const std::string& file) {
  const ModelConfig shape = sbs_shape(config, file);
  if (config.secondary_eos_id == 1) config.secondary_eos_id = end_of_turn(shape.architecture);
  if (config.scale_base_names.empty())
    config.scale_base_names = canonical_config(known_gemmas().front()).scale_base_names;
  return config;
}

SbsConfig deduce_sbs_config(std::span<const UnshapedTensor> tensors, const std::string& file) {
  ByName by_name;
  for (const UnshapedTensor& tensor : tensors) by_name.emplace(tensor.name, &tensor);
  const auto known = std::ranges::find_if(kKnown, [&](const KnownGemma& row) { return matches(row, by_name); });
  if (known == kKnown.end())
    throw Unsupported(file +
                      ": holds no configuration, and its tensors have the sizes of no Gemma model that is known");
  return canonical_config(*known);
}

}  // namespace carat
