#include "engine/file/sbs_config.h"

#include "engine/file/sbs_fields.h"

namespace carat {

// The order of the fields is the format (sbs.md, section 4).
template <class Fields>
static void visit_fields(SbsLayerConfig& c, Fields& field) {
  field(c.model_dim);
  field(c.unused_griffin_dim);
  field(c.ff_hidden_dim);
  field(c.heads);
  field(c.kv_heads);
  field(c.qkv_dim);
  field(c.unused_conv1d_width);
  field(c.ff_biases);
  field(c.unused_softmax_attn_output_biases);
  field(c.optimized_gating);
  field(c.post_norm);
  field(c.type);
  field(c.activation);
  field(c.post_qk);
  field(c.use_qk_norm);
}

template <class Fields>
static void visit_fields(SbsVisionConfig& c, Fields& field) {
  field(c.model_dim);
  field(c.seq_len);
  field(c.num_scales);
  field(c.patch_width);
  field(c.image_size);
  field(c.layer_configs);
  field(c.pool_dim);
}

template <class Fields>
static void visit_fields(SbsConfig& c, Fields& field) {
  field(c.model_family_version);
  field(c.display_name);
  field(c.model);
  field(c.wrapping);
  field(c.weight);
  field(c.num_layers);
  field(c.model_dim);
  field(c.vocab_size);
  field(c.max_seq_len);
  field(c.unused_num_tensor_scales);
  field(c.att_cap);
  field(c.final_cap);
  field(c.absolute_pe);
  field(c.unused_use_local_attention);
  field(c.query_scale);
  field(c.layer_configs);
  field(c.attention_window_sizes);
  field(c.norm_num_groups);
  field(c.vit_config);
  field(c.pool_dim);
  field(c.eos_id);
  field(c.secondary_eos_id);
  field(c.scale_base_names);
}

SbsConfig parse_sbs_config(std::span<const std::byte> blob, std::string_view file) {
  const std::string place = std::string(file) + ": blob 'config'";
  ByteReader in(blob, place);
  SbsConfig config;
  SbsFieldReader(in, blob.size()).read_struct(config);
  // Until September 2025 the number of vision layers was 2, then 1.
  for (SbsLayerConfig& layer : config.vit_config.layer_configs)
    if (layer.type == 2) layer.type = 1;
  return config;
}

std::vector<std::byte> serialise(const SbsConfig& config) {
  SbsConfig fields = config;
  SbsFieldWriter out;
  out.write_struct(fields);
  return std::move(out).finish();
}

}  // namespace carat
