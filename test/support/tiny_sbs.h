// Small `.sbs` files of every generation, in memory: one layer of a Gemma 3 or 2, of made-up weights.
#pragma once
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/file/byte_writer.h"
#include "engine/file/sbs.h"
#include "engine/file/sbs_toc.h"

namespace carat::test {

using SbsBlobs = std::vector<std::pair<std::string, std::vector<std::byte>>>;

// Width 8, feed-forward 12, 4 heads over 2 of 4 elements, 10 tokens, 32 positions.
inline SbsConfig tiny_sbs_config(bool gemma3 = true) {
  SbsLayerConfig layer;
  layer.model_dim = 8;
  layer.ff_hidden_dim = 12;
  layer.heads = 4;
  layer.kv_heads = 2;
  layer.qkv_dim = 4;
  layer.post_norm = 1;
  layer.optimized_gating = layer.use_qk_norm = gemma3;
  SbsConfig config;
  config.display_name = "tiny";
  config.model = gemma3 ? SbsModel::gemma3_1b : SbsModel::gemma2_2b;
  config.wrapping = SbsWrapping::gemma_it;
  config.weight = SbsType::f32;
  config.num_layers = 1;
  config.model_dim = 8;
  config.vocab_size = 10;
  config.max_seq_len = 32;
  if (!gemma3) {
    config.att_cap = 50;
    config.final_cap = 30;
  }
  config.layer_configs = {layer};
  config.attention_window_sizes = {6};
  config.secondary_eos_id = gemma3 ? 106 : 107;
  return config;
}

inline ModelConfig tiny_sbs_shape(bool gemma3 = true) {
  ModelConfig shape;
  shape.architecture = gemma3 ? "gemma3" : "gemma2";
  shape.width = 8;
  shape.hidden = 12;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.head_dim = 4;
  shape.vocabulary = 10;
  shape.post_norms = true;
  shape.qk_norm = gemma3;
  shape.layers.resize(1);
  return shape;
}

// The k-th element of a tensor of f32: its number, plus a thousandth of the tensor's place in the file.
inline std::vector<std::byte> numbered(std::size_t n, std::size_t place) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i) + static_cast<float>(place) * 0.001f;
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// The blobs of a whole model, f32, in today's form.
inline SbsBlobs tiny_sbs_blobs(bool gemma3 = true) {
  SbsBlobs blobs;
  std::vector<SbsTensor> directory;
  for (const SbsTensorPlan& plan : sbs_plan(tiny_sbs_shape(gemma3))) {
    blobs.emplace_back(plan.name, numbered(plan.rows * plan.cols, blobs.size()));
    directory.push_back({plan.name, SbsType::f32, plan.rows, plan.cols, 1});
  }
  blobs.emplace_back("config", serialise(tiny_sbs_config(gemma3)));
  const std::string_view tokenizer = "a tokenizer";
  const auto bytes = std::as_bytes(std::span(tokenizer));
  blobs.emplace_back("tokenizer", std::vector<std::byte>(bytes.begin(), bytes.end()));
  blobs.emplace_back("toc", serialise_sbs_toc(directory));
  return blobs;
}

// A store of the first kind, as written until May 2025.
inline std::vector<std::byte> sbs_v1(const SbsBlobs& blobs) {
  ByteWriter out;
  out.put(std::as_bytes(std::span(kSbsMagic)));
  out.write(static_cast<std::uint32_t>(blobs.size()));
  std::uint64_t at = round_up(16 + 32 * blobs.size(), 256), size = at;
  for (const auto& [key, bytes] : blobs) size += round_up(bytes.size(), 256);
  out.write(size);
  for (const auto& [key, bytes] : blobs) {
    out.put(std::as_bytes(std::span(key)));
    out.pad(16);
  }
  for (const auto& [key, bytes] : blobs) {
    out.write(at);
    out.write(std::uint64_t{bytes.size()});
    at += round_up(bytes.size(), 256);
  }
  for (const auto& [key, bytes] : blobs) {
    out.pad(256);
    out.put(bytes);
  }
  out.pad(256);
  return std::move(out).finish();
}

inline std::vector<std::byte> bytes_of(const SbsWriter& writer) {
  std::vector<std::byte> out;
  writer.write([&](std::span<const std::byte> part) { out.insert(out.end(), part.begin(), part.end()); });
  return out;
}

// A store of the second kind, of the same tensors.
inline std::vector<std::byte> sbs_v2(const SbsBlobs& blobs, bool gemma3 = true) {
  SbsWriter writer(tiny_sbs_config(gemma3));
  const auto plans = sbs_plan(tiny_sbs_shape(gemma3));
  for (std::size_t i = 0; i < plans.size(); ++i)
    writer.add_tensor({plans[i].name, SbsType::f32, plans[i].rows, plans[i].cols, 1}, blobs[i].second);
  writer.set_tokenizer("a tokenizer");
  return bytes_of(writer);
}

}  // namespace carat::test
