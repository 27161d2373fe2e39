#include "convert/hugging_face.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "convert/safetensors.h"
#include "convert/source.h"
#include "engine/error.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

struct NamePair {
  std::string_view theirs, ours;
};
constexpr std::array kModelNames = {
    NamePair{"embed_tokens.weight", "token_embd.weight"},
    NamePair{"norm.weight", "output_norm.weight"},
};
constexpr std::array kLayerNames = {
    NamePair{"input_layernorm", "attn_norm"},
    NamePair{"self_attn.q_proj", "attn_q"},
    NamePair{"self_attn.k_proj", "attn_k"},
    NamePair{"self_attn.v_proj", "attn_v"},
    NamePair{"self_attn.o_proj", "attn_output"},
    NamePair{"self_attn.q_norm", "attn_q_norm"},
    NamePair{"self_attn.k_norm", "attn_k_norm"},
    NamePair{"pre_feedforward_layernorm", "ffn_norm"},
    NamePair{"post_feedforward_layernorm", "post_ffw_norm"},
    NamePair{"mlp.gate_proj", "ffn_gate"},
    NamePair{"mlp.up_proj", "ffn_up"},
    NamePair{"mlp.down_proj", "ffn_down"},
};

// Of a model that sees, and what old files keep though it can be computed.
bool is_needless(std::string_view name) {
  return name.find("vision_tower") != std::string_view::npos ||
         name.find("multi_modal_projector") != std::string_view::npos || name.ends_with("rotary_emb.inv_freq");
}

// The name under "model.", whatever a model with several parts puts before it.
std::string_view inner_name(std::string_view name) {
  for (const std::string_view prefix : {"language_model.model.", "model.language_model.", "model."})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

std::string layer_tensor_name(const FolderConfig& config, std::string_view name) {
  std::size_t layer = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || layer >= config.layers) return {};
  const std::string_view rest = name.substr(static_cast<std::size_t>(at - name.data()));
  const std::size_t dot = rest.rfind('.');
  if (!rest.starts_with('.') || dot == 0) return {};
  const std::string_view kind = rest.substr(1, dot - 1), ending = rest.substr(dot);
  if (ending != ".weight" && ending != ".bias") return {};
  const bool post_norms = config.architecture == "gemma2" || config.architecture == "gemma3";
  std::string_view ours;
  if (kind == "post_attention_layernorm") ours = post_norms ? "post_attention_norm" : "ffn_norm";
  for (const NamePair& pair : kLayerNames)
    if (pair.theirs == kind) ours = pair.ours;
  if (ours.empty()) return {};
  return "blk." + std::to_string(layer) + "." + std::string(ours) + std::string(ending);
}

// Where row `row` of queries or keys lies in a file of transformers, whose rotation pairs halves of a head; GGUF's
// llama rotates neighbours.
std::size_t unpermuted(std::size_t row, std::size_t head_dim) {
  const std::size_t in_head = row % head_dim;
  return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

// The tensor with its rows in GGUF's order, or with 1 added: read row by row, never stored.
void permute_rows(SourceTensor& tensor, std::size_t head_dim) {
  if (tensor.dims.size() < 2) {  // a bias: each element is a row
    tensor.read = [read = tensor.read, head_dim, n = tensor.cols()](std::size_t, std::size_t, float* out) {
      std::vector<float> stored(n);
      read(0, 1, stored.data());
      for (std::size_t i = 0; i < n; ++i) out[i] = stored[unpermuted(i, head_dim)];
    };
    tensor.copy = {};
    return;
  }
  tensor.read = [read = tensor.read, head_dim, cols = tensor.cols()](std::size_t first, std::size_t count, float* out) {
    for (std::size_t i = 0; i < count; ++i) read(unpermuted(first + i, head_dim), 1, out + i * cols);
  };
  if (!tensor.copy) return;
  const std::size_t row = row_bytes(tensor.dtype, tensor.cols());
  tensor.copy = [copy = tensor.copy, head_dim, row](std::size_t first, std::span<std::byte> out) {
    for (std::size_t i = 0; i < out.size() / row; ++i) copy(unpermuted(first + i, head_dim), out.subspan(i * row, row));
  };
}

// Vectors and norms are kept as f32, whatever they are stored as; Gemma's norms get their 1.
void keep_exact(SourceTensor& tensor, bool add_one) {
  if (tensor.dtype == DType::f32 && !add_one) return;
  tensor.dtype = DType::f32;
  tensor.copy = {};
  if (!add_one) return;
  tensor.read_gain = tensor.read;
  tensor.read = [read = tensor.read, cols = tensor.cols()](std::size_t first, std::size_t count, float* out) {
    read(first, count, out);
    for (std::size_t i = 0; i < count * cols; ++i) out[i] += 1;
  };
}

SourceTensor read_doubles(const SafetensorsEntry& entry, std::string name, std::vector<std::uint64_t> dims,
                          const MappedFile& file, const std::string& path) {
  SourceTensor tensor{std::move(name), DType::f32, std::move(dims), {}, {}, {}};
  tensor.read = [&file, path, offset = entry.offset, cols = tensor.cols()](std::size_t first, std::size_t count,
                                                                           float* out) {
    std::vector<double> stored(count * cols);
    read_named(file, path, offset + first * cols * sizeof(double), std::as_writable_bytes(std::span(stored)));
    std::ranges::transform(stored, out, [](double value) { return static_cast<float>(value); });
  };
  return tensor;
}

void add_tensor(ModelSource& source, const FolderConfig& config, const SafetensorsEntry& entry, const MappedFile& file,
                const std::string& path) {
  std::string name = canonical_name(config, entry.name);
  if (name.empty()) return;
  const std::string where = path + ": tensor " + quote(entry.name) + ": ";
  if (entry.shape.empty() || entry.shape.size() > 4 || entry.bytes == 0)
    throw BadFile(where + "has no shape of a weight");
  if (source.find(name) != nullptr) throw BadFile(where + "is there twice");
  const std::vector<std::uint64_t> dims(entry.shape.rbegin(), entry.shape.rend());
  const std::optional<DType> dtype = entry.stored_as();
  if (!dtype && entry.dtype != "F64")
    throw Unsupported(where + "is of type " + entry.dtype + "; expected F32, F16, BF16 or F64");
  SourceTensor tensor =
      dtype ? stored_tensor(name, *dtype, dims, file, entry.offset, path) : read_doubles(entry, name, dims, file, path);

  const bool is_norm = name.ends_with("_norm.weight");
  if (is_norm || tensor.rows() == 1) keep_exact(tensor, is_norm && config.is_gemma());
  const bool is_q = name.find(".attn_q.") != std::string::npos, is_k = name.find(".attn_k.") != std::string::npos;
  if (config.architecture == "llama" && (is_q || is_k)) {
    const std::size_t rows = tensor.dims.back();
    if (rows != (is_q ? config.heads : config.kv_heads) * config.head_dim)
      throw BadFile(where + "has " + std::to_string(rows) + " rows, which the heads of config.json do not make");
    permute_rows(tensor, config.head_dim);
  }
  source.tensors.push_back(std::move(tensor));
}

// What config.json says of the vocabulary is believed as far as there are rows for it.
void limit_vocabulary(FolderConfig& config, const ModelSource& source, const std::filesystem::path& folder) {
  const SourceTensor* const embedding = source.find("token_embd.weight");
  if (embedding == nullptr) throw BadFile(source.path + ": has no embedding");
  const std::size_t rows = embedding->rows();
  if (config.vocabulary <= rows) return;
  if (config.architecture != "gemma3") {
    throw BadFile((folder / "config.json").string() + ": vocab_size: is " + std::to_string(config.vocabulary) +
                  ", but the embedding has " + std::to_string(rows) + " rows");
  }
  config.vocabulary = rows;
}

// Gemma 3's embedding has rows beyond the tokens, for images.
void cut_embedding(ModelSource& source, std::size_t tokens) {
  for (SourceTensor& tensor : source.tensors)
    if (tensor.name == "token_embd.weight" && tensor.dims.size() == 2)
      tensor.dims[1] = std::min<std::uint64_t>(tensor.dims[1], tokens);
}

std::filesystem::path weights_of(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return path;
  for (const char* name : {"model.safetensors.index.json", "model.safetensors"})
    if (std::filesystem::exists(path / name)) return path / name;
  throw BadFile(path.string() + ": has neither model.safetensors nor model.safetensors.index.json");
}

}  // namespace

std::string canonical_name(const FolderConfig& config, const std::string& name) {
  if (is_needless(name)) return {};
  if (name == "lm_head.weight" || name == "language_model.lm_head.weight")
    return config.is_gemma() || config.tied ? "" : "output.weight";
  const std::string_view inner = inner_name(name);
  for (const NamePair& pair : kModelNames)
    if (pair.theirs == inner) return std::string(pair.ours);
  constexpr std::string_view kLayers = "layers.";
  std::string ours = inner.starts_with(kLayers) ? layer_tensor_name(config, inner.substr(kLayers.size())) : "";
  if (ours.empty()) throw Unsupported("tensor " + quote(name) + ": is not known of " + config.architecture);
  return ours;
}

ModelSource open_model_folder(const std::filesystem::path& path, const SourceOptions& options) {
  const std::filesystem::path weights = weights_of(path);
  const std::filesystem::path folder = weights.has_parent_path() ? weights.parent_path() : ".";
  ModelSource source;
  source.path = path.string();
  source.format = "safetensors";
  // The directories come first: what cannot be read as safetensors shall be called that.
  std::vector<std::vector<SafetensorsEntry>> entries;
  const std::vector<std::filesystem::path> files = safetensors_files(weights);
  for (const std::filesystem::path& file : files) {
    source.mappings.push_back(std::make_unique<const MappedFile>(MappedFile::open(file)));
    entries.push_back(parse_safetensors(source.mappings.back()->bytes(), file.string()));
  }

  GgufWriter writer;
  FolderConfig config = read_folder_config(folder, writer);
  for (std::size_t i = 0; i < files.size(); ++i)
    for (const SafetensorsEntry& entry : entries[i])
      add_tensor(source, config, entry, *source.mappings[i], files[i].string());
  limit_vocabulary(config, source, folder);
  const std::size_t tokens = read_folder_tokenizer(folder, options.tokenizer, config, writer);
  if (config.architecture == "gemma3") cut_embedding(source, tokens);
  if (!config.rope_factors.empty())
    source.tensors.push_back(
        made_tensor(source, "rope_freqs.weight", {config.rope_factors.size()}, config.rope_factors));
  std::uint64_t parameters = 0;
  for (const SourceTensor& tensor : source.tensors) parameters += tensor.rows() * tensor.cols();
  writer.set("general.parameter_count", parameters);
  set_metadata(source, writer);
  return source;
}

}  // namespace carat
