// Sources that hold gemma.cpp's tensors: its .sbs files, and the dumps that its old tool compressed.
#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "convert/sentencepiece.h"
#include "convert/source.h"
#include "engine/error.h"
#include "engine/file/sbs_contents.h"
#include "engine/file/sbs_metadata.h"
#include "engine/file/sbs_models.h"
#include "engine/model_config.h"
#include "kernels/quant/codecs.h"

namespace carat {

namespace {

// Gains as gemma.cpp stores them: what was added to them on the way to canonical tensors cannot always be taken off.
void set_gains(ModelSource& source, const SbsContents& contents, const std::vector<SbsTensorPlan>& plans) {
  for (const SbsTensorPlan& plan : plans) {
    const auto item = std::ranges::find(contents.tensors, plan.name, [](const auto& i) { return i.tensor.name; });
    const auto tensor = std::ranges::find(source.tensors, plan.pieces.front().tensor, &SourceTensor::name);
    if (!plan.subtract_one || item == contents.tensors.end() || tensor == source.tensors.end()) continue;
    const auto dtype = dtype_from_sbs(static_cast<std::uint32_t>(item->tensor.type));
    if (!dtype) continue;
    const std::vector<std::byte> stored(item->bytes.begin(), item->bytes.end());
    std::vector<float>& values = source.made.emplace_back(plan.cols);
    dequantize_row(*dtype, stored.data(), values.data(), values.size());
    for (float& value : values) value *= item->tensor.scale;
    tensor->read_gain = [&values](std::size_t, std::size_t, float* out) { std::ranges::copy(values, out); };
  }
}

// Positions that a layer sees in a text as long as the model was made for, and how they turn.
struct Sight {
  std::size_t window;
  double base, factor;
  bool operator==(const Sight&) const = default;
};
Sight sight_of(const ModelConfig& c, const LayerConfig& layer) {
  const RopeConfig& rope = c.ropes[layer.rope];
  return {layer.window == 0 ? c.context : std::min(layer.window, c.context), rope.base, rope.factor};
}

// What a file of this configuration would be read as is what the source is.
void check_said(const ModelConfig& is, const SbsConfig& config, const std::string& path) {
  SbsContents contents;
  contents.config = config;
  const ModelConfig read = read_config(assemble_sbs(contents, MappedFile(), {}, path));
  const auto same = [&path](const char* what, const auto& a, const auto& b) {
    if (a != b) throw Unsupported(path + ": an .sbs file cannot say " + what + " of this model");
  };
  same("the epsilon of the norms", is.norm_eps, read.norm_eps);
  same("the scale of the embedding", is.embed_scale, read.embed_scale);
  same("the scale of the queries", is.query_scale, read.query_scale);
  same("the soft cap of the attention", is.attention_cap, read.attention_cap);
  same("the soft cap of the logits", is.logit_cap, read.logit_cap);
  same("the activation", is.gate, read.gate);
  same("how heads turn", std::pair(is.rope_style, is.rope_dim), std::pair(read.rope_style, read.rope_dim));
  same("that there are biases", is.qkv_bias, read.qkv_bias);
  same("which norms there are", std::pair(is.qk_norm, is.post_norms), std::pair(read.qk_norm, read.post_norms));
  for (std::size_t i = 0; i < is.layers.size(); ++i)
    same("what each layer sees", sight_of(is, is.layers[i]), sight_of(read, read.layers[i]));
}

// The ids that gemma.cpp has in its code.
void check_tokens(const Metadata& metadata, const std::string& path) {
  if (!metadata.has("tokenizer.ggml.tokens")) return;
  const auto same = [&](const char* key, std::size_t otherwise, std::size_t fixed) {
    const std::size_t id = metadata.count_or(key, otherwise, 0, std::numeric_limits<std::uint32_t>::max());
    if (id != fixed)
      throw Unsupported(path + ": " + key + ": is " + std::to_string(id) + ", and in an .sbs file always " +
                        std::to_string(fixed));
  };
  same("tokenizer.ggml.bos_token_id", 1, 2);
  same("tokenizer.ggml.unknown_token_id", 0, 3);
  same("tokenizer.ggml.padding_token_id", 0, 0);
}

}  // namespace

void adopt_sbs(ModelSource& source, const SbsContents& contents, MappedFile mapping) {
  const std::span<const std::byte> bytes = mapping.bytes();
  adopt_file(source, assemble_sbs(contents, std::move(mapping), bytes, source.path));
  add_file_tensors(source);
  const std::vector<SbsTensorPlan> plans = sbs_plan(sbs_shape(contents.config, source.path));
  std::set<std::string_view> needed;
  for (const SbsTensorPlan& plan : plans)
    for (const SbsPiece& piece : plan.pieces) needed.insert(piece.tensor);
  // No other engine would know what has no canonical name.
  const auto is_needed = [&needed](const SourceTensor& tensor) { return needed.contains(tensor.name); };
  const auto end = source.tensors.end();
  const auto extras = std::stable_partition(source.tensors.begin(), end, is_needed);
  source.sbs_extras.assign(std::make_move_iterator(extras), std::make_move_iterator(end));
  source.tensors.erase(extras, end);
  for (const SbsContents::Item& item : contents.tensors) source.sbs_order.push_back(item.tensor.name);
  set_gains(source, contents, plans);
  source.sbs_config = completed(contents.config, source.path);
}

namespace {

// A token for each row of the embedding.
std::size_t vocabulary_of(const ModelSource& source) {
  const SourceTensor* embedding = source.find("token_embd.weight");
  if (embedding == nullptr) throw BadFile(source.path + ": has no embedding");
  return embedding->rows();
}

}  // namespace

SbsConfig sbs_config_of(const ModelSource& source) {
  SbsConfig config;
  if (source.sbs_config) {
    config = *source.sbs_config;
  } else {
    ModelConfig network = read_config(*source.file);
    network.vocabulary = vocabulary_of(source);
    config = sbs_config_from(network, source.metadata(), source.path);
    check_said(network, config, source.path);
    if (source.sentencepiece.empty()) check_tokens(source.metadata(), source.path);
  }
  config.wrapping = source.wrapping.value_or(config.wrapping);
  return config;
}

std::vector<std::byte> sentencepiece_of(const ModelSource& source) {
  if (source.sentencepiece.empty() && source.metadata().has("tokenizer.ggml.tokens"))
    return make_sentencepiece(source.metadata(), vocabulary_of(source));
  return {source.sentencepiece.begin(), source.sentencepiece.end()};
}

ModelSource open_sbs(const std::filesystem::path& path, const SourceOptions& options) {
  ModelSource source;
  source.path = path.string();
  source.format = "sbs";
  MappedFile mapping = MappedFile::open(path);
  const SbsContents contents = read_sbs_contents(mapping.bytes(), source.path);
  adopt_sbs(source, contents, std::move(mapping));
  if (!options.tokenizer.empty()) adopt_tokenizer(source, options.tokenizer);
  return source;
}

}  // namespace carat
