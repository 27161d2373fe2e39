#include "engine/preset.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace carat {

namespace {

// config.json of each model as its makers published it: layers, width, hidden, heads, KV heads, head length,
// vocabulary, context, window, base of the rotation, tied.
constexpr auto kPresets = std::to_array<Preset>({
    {"gemma-2b", "gemma", 18, 2048, 16384, 8, 1, 256, 256000, 8192},
    {"gemma-7b", "gemma", 28, 3072, 24576, 16, 16, 256, 256000, 8192},
    {"gemma2-2b", "gemma2", 26, 2304, 9216, 8, 4, 256, 256000, 8192, 4096},
    {"gemma2-9b", "gemma2", 42, 3584, 14336, 16, 8, 256, 256000, 8192, 4096},
    {"gemma2-27b", "gemma2", 46, 4608, 36864, 32, 16, 128, 256000, 8192, 4096},
    {"gemma3-270m", "gemma3", 18, 640, 2048, 4, 1, 256, 262144, 32768, 512, 1e6f},
    {"gemma3-1b", "gemma3", 26, 1152, 6912, 4, 1, 256, 262144, 32768, 512, 1e6f},
    {"gemma3-4b", "gemma3", 34, 2560, 10240, 8, 4, 256, 262208, 131072, 1024, 1e6f},
    {"gemma3-12b", "gemma3", 48, 3840, 15360, 16, 8, 256, 262208, 131072, 1024, 1e6f},
    {"gemma3-27b", "gemma3", 62, 5376, 21504, 32, 16, 128, 262208, 131072, 1024, 1e6f},
    {"llama2-7b", "llama", 32, 4096, 11008, 32, 32, 128, 32000, 4096, 0, 1e4f, false},
    {"llama3.1-8b", "llama", 32, 4096, 14336, 32, 8, 128, 128256, 131072, 0, 5e5f, false},
    {"llama3.2-1b", "llama", 16, 2048, 8192, 32, 8, 64, 128256, 131072, 0, 5e5f},
    {"llama3.2-3b", "llama", 28, 3072, 8192, 24, 8, 128, 128256, 131072, 0, 5e5f},
    {"qwen2.5-0.5b", "qwen2", 24, 896, 4864, 14, 2, 64, 151936, 32768, 0, 1e6f},
    {"qwen2.5-1.5b", "qwen2", 28, 1536, 8960, 12, 2, 128, 151936, 32768, 0, 1e6f},
    {"qwen2.5-3b", "qwen2", 36, 2048, 11008, 16, 2, 128, 151936, 32768, 0, 1e6f},
    {"qwen2.5-7b", "qwen2", 28, 3584, 18944, 28, 4, 128, 152064, 32768, 0, 1e6f, false},
    {"qwen3-0.6b", "qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 40960, 0, 1e6f},
    {"qwen3-1.7b", "qwen3", 28, 2048, 6144, 16, 8, 128, 151936, 40960, 0, 1e6f},
    {"qwen3-4b", "qwen3", 36, 2560, 9728, 32, 8, 128, 151936, 40960, 0, 1e6f},
    {"qwen3-8b", "qwen3", 36, 4096, 12288, 32, 8, 128, 151936, 40960, 0, 1e6f, false},
});

// Lists the tensors of a network by their shapes.
class Lister {
 public:
  void matrix(const std::string& name, std::size_t rows, std::size_t cols) { add(name, DType::f16, cols, rows, 2); }
  void vector(const std::string& name, std::size_t cols) { add(name, DType::f32, cols, 1, 1); }
  std::vector<FileTensor> take() { return std::move(tensors_); }

 private:
  void add(const std::string& name, DType dtype, std::size_t cols, std::size_t rows, std::size_t n_dims) {
    FileTensor& tensor = tensors_.emplace_back();
    tensor.name = name;
    tensor.dtype = dtype;
    tensor.dims = {cols, rows, 1, 1};
    tensor.n_dims = n_dims;
  }

  std::vector<FileTensor> tensors_;
};

void list_layer(Lister& list, const std::string& layer, const Preset& p) {
  const std::size_t q = p.heads * p.head_dim, kv = p.kv_heads * p.head_dim;
  list.vector(layer + "attn_norm.weight", p.width);
  list.matrix(layer + "attn_q.weight", q, p.width);
  list.matrix(layer + "attn_k.weight", kv, p.width);
  list.matrix(layer + "attn_v.weight", kv, p.width);
  list.matrix(layer + "attn_output.weight", p.width, q);
  list.vector(layer + "ffn_norm.weight", p.width);
  list.matrix(layer + "ffn_gate.weight", p.hidden, p.width);
  list.matrix(layer + "ffn_up.weight", p.hidden, p.width);
  list.matrix(layer + "ffn_down.weight", p.width, p.hidden);
  if (p.architecture == "gemma2" || p.architecture == "gemma3") {
    list.vector(layer + "post_attention_norm.weight", p.width);
    list.vector(layer + "post_ffw_norm.weight", p.width);
  }
  if (p.architecture == "gemma3" || p.architecture == "qwen3") {
    list.vector(layer + "attn_q_norm.weight", p.head_dim);
    list.vector(layer + "attn_k_norm.weight", p.head_dim);
  }
  if (p.architecture == "qwen2") {
    list.vector(layer + "attn_q.bias", q);
    list.vector(layer + "attn_k.bias", kv);
    list.vector(layer + "attn_v.bias", kv);
  }
}

}  // namespace

std::span<const Preset> presets() { return kPresets; }

const Preset* find_preset(std::string_view name) {
  const auto same = [name](const Preset& preset) {
    return std::ranges::equal(name, preset.name,
                              [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
  };
  const auto at = std::ranges::find_if(kPresets, same);
  return at == kPresets.end() ? nullptr : &*at;
}

Metadata preset_metadata(const Preset& p) {
  Metadata metadata{std::string(p.name)};
  const std::string prefix = std::string(p.architecture) + ".";
  const auto count = [&](const char* name, std::size_t value) {
    metadata.add(prefix + name, static_cast<std::uint32_t>(value));
  };
  metadata.add("general.architecture", p.architecture);
  metadata.add("general.name", p.name);
  count("block_count", p.layers);
  count("context_length", p.context);
  count("embedding_length", p.width);
  count("feed_forward_length", p.hidden);
  count("attention.head_count", p.heads);
  count("attention.head_count_kv", p.kv_heads);
  count("attention.key_length", p.head_dim);
  count("attention.value_length", p.head_dim);
  if (p.window > 0) count("attention.sliding_window", p.window);
  metadata.add(prefix + "attention.layer_norm_rms_epsilon", p.architecture == "llama" ? 1e-5f : 1e-6f);
  metadata.add(prefix + "rope.freq_base", p.rope_base);
  return metadata;
}

std::vector<FileTensor> preset_tensors(const Preset& p) {
  Lister list;
  list.matrix("token_embd.weight", p.vocabulary, p.width);
  if (!p.tied) list.matrix("output.weight", p.vocabulary, p.width);
  list.vector("output_norm.weight", p.width);
  for (std::size_t i = 0; i < p.layers; ++i) list_layer(list, "blk." + std::to_string(i) + ".", p);
  return list.take();
}

}  // namespace carat
