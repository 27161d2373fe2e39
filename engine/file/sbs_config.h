// The configuration inside a gemma.cpp `.sbs` file: its fields, their serialisation, and what they mean in the metadata
// that GGUF files have.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/metadata.h"
#include "engine/model_config.h"

namespace carat {

// How the elements of a tensor are stored, by gemma.cpp's numbers (`Type`).
enum class SbsType : std::uint32_t { unknown, f32, bf16, sfp, nuq, f64, u32, u64, i8 };

// gemma.cpp's numbers for models (`Model`). Others may appear in files; only these mean something here.
enum class SbsModel : std::uint32_t {
  unknown = 0,
  gemma_2b = 1,
  gemma_7b = 2,
  gemma2_9b = 3,
  gemma2_27b = 4,
  gemma2_2b = 7,
  paligemma2_3b_224 = 10,
  paligemma2_3b_448 = 11,
  paligemma2_10b_224 = 12,
  paligemma2_10b_448 = 13,
  gemma3_4b = 14,
  gemma3_1b = 15,
  gemma3_12b = 16,
  gemma3_27b = 17,
  gemma3_270m = 18,
};

// How a prompt is framed (`PromptWrapping`).
enum class SbsWrapping : std::uint32_t { gemma_it, gemma_pt, gemma_vlm, paligemma };

// The fields in the order of the file, with the values that missing ones have (`LayerConfig`).
struct SbsLayerConfig {
  std::uint32_t model_dim = 0;
  std::uint32_t unused_griffin_dim = 0;
  std::uint32_t ff_hidden_dim = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t qkv_dim = 0;
  std::uint32_t unused_conv1d_width = 0;
  bool ff_biases = false;
  bool unused_softmax_attn_output_biases = false;
  bool optimized_gating = true;
  std::uint32_t post_norm = 0;  // 1 = the branches are normalised before they are added
  std::uint32_t type = 0;       // 0 = language; 1, or 2 in older files, = vision
  std::uint32_t activation = 0;
  std::uint32_t post_qk = 0;
  bool use_qk_norm = false;

  bool operator==(const SbsLayerConfig&) const = default;
};

struct SbsVisionConfig {
  std::uint32_t model_dim = 0;
  std::uint32_t seq_len = 0;
  std::uint32_t num_scales = 0;
  std::uint32_t patch_width = 14;
  std::uint32_t image_size = 224;
  std::vector<SbsLayerConfig> layer_configs;
  std::uint32_t pool_dim = 1;

  bool operator==(const SbsVisionConfig&) const = default;
};

struct SbsConfig {
  std::uint32_t model_family_version = 1;
  std::string display_name;
  SbsModel model = SbsModel::unknown;
  SbsWrapping wrapping = SbsWrapping::gemma_pt;
  SbsType weight = SbsType::unknown;  // the smallest of the tensors' types; SbsWriter sets it
  std::uint32_t num_layers = 0;
  std::uint32_t model_dim = 0;
  std::uint32_t vocab_size = 0;
  std::uint32_t max_seq_len = 0;
  std::uint32_t unused_num_tensor_scales = 0;
  float att_cap = 0;    // 0 = none
  float final_cap = 0;  // 0 = none
  bool absolute_pe = false;
  bool unused_use_local_attention = false;
  std::uint32_t query_scale = 0;  // 0: 1/sqrt(qkv_dim); 1: 1/sqrt(model_dim / heads)
  std::vector<SbsLayerConfig> layer_configs;
  std::vector<std::uint32_t> attention_window_sizes;  // of each layer; max_seq_len = all
  std::uint32_t norm_num_groups = 1;
  SbsVisionConfig vit_config;
  std::uint32_t pool_dim = 1;
  std::int32_t eos_id = 1;
  std::int32_t secondary_eos_id = 1;  // of a turn
  std::vector<std::string> scale_base_names;

  bool operator==(const SbsConfig&) const = default;
};

// Reads the blob `config` of any year; a field that the file is too old for keeps its default. `file` is the name for
// messages. Throws BadFile.
SbsConfig parse_sbs_config(std::span<const std::byte> blob, std::string_view file);

// The blob as gemma.cpp of late 2025 writes it, every field included.
std::vector<std::byte> serialise(const SbsConfig& config);

// Any Gemma as gemma.cpp configures it. `config.vocabulary` is the rows of the embedding. The metadata gives the ids of
// the end tokens and says whether the model chats. Throws Unsupported for what no `.sbs` file can say, naming `file`.
SbsConfig sbs_config_from(const ModelConfig& config, const Metadata& metadata, std::string_view file);

}  // namespace carat
