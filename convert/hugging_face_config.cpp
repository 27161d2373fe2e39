#include <array>
#include <cmath>
#include <numbers>
#include <optional>

#include "convert/hugging_face.h"
#include "engine/error.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 30;
constexpr std::uint64_t kMaxLayers = 512;

struct Family {
  std::string_view type;          // model_type of config.json
  std::string_view architecture;  // of GGUF
  std::uint64_t head_dim;         // when not given; 0: width / heads
  double rope_base;               // when not given
};
// Fallbacks are those of the configuration classes of transformers.
constexpr std::array kFamilies = {
    Family{"gemma", "gemma", 256, 10000},      Family{"gemma2", "gemma2", 256, 10000},
    Family{"gemma3_text", "gemma3", 256, 1e6}, Family{"gemma3", "gemma3", 256, 1e6},
    Family{"llama", "llama", 0, 10000},        Family{"mistral", "llama", 0, 10000},
    Family{"qwen2", "qwen2", 0, 10000},        Family{"qwen3", "qwen3", 128, 10000},
};

const Family& find_family(const JsonKeys& config, const std::string& path) {
  const std::string type = config.text_or("model_type", "");
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.type == type) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.type);
  }
  throw Unsupported(path + ": model_type: " + quote(type) + " is not supported; known are " + known);
}

// Writes the keys of one architecture.
class Keys {
 public:
  Keys(GgufWriter& writer, std::string_view architecture) : writer_(writer), prefix_(std::string(architecture) + ".") {}

  void count(const char* key, std::uint64_t value) { writer_.set(prefix_ + key, static_cast<std::uint32_t>(value)); }
  void real(const char* key, double value) { writer_.set(prefix_ + key, static_cast<float>(value)); }
  void text(const char* key, std::string_view value) { writer_.set(prefix_ + key, value); }

 private:
  GgufWriter& writer_;
  std::string prefix_;
};

// Llama 3.1's: low frequencies are slowed down by a factor, those between by part of it (modeling_rope_utils.py).
std::vector<float> llama3_factors(const JsonKeys& scaling, double base, std::size_t head_dim) {
  const double factor = scaling.real("factor");
  const double low = scaling.real_or("low_freq_factor", 1), high = scaling.real_or("high_freq_factor", 4);
  const double context = scaling.real_or("original_max_position_embeddings", 8192);
  if (!(factor > 0 && low > 0 && high > low && context > 0)) scaling.refuse("factor", "the factors make no sense");
  std::vector<float> factors;
  for (std::size_t i = 0; i < head_dim / 2; ++i) {
    const double exponent = 2 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double wavelength = 2 * std::numbers::pi * std::pow(base, exponent);
    const double part = (context / wavelength - low) / (high - low);  // of the full frequency
    const double divisor = part >= 1 ? 1 : part <= 0 ? factor : 1 / ((1 - part) / factor + part);
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

void set_rope(const JsonKeys& config, const std::string& path, const Family& family, Keys& keys, FolderConfig& found) {
  const Json none = Json::object();
  const char* const key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const Json* json = config.has(key) ? &config.at(key) : &none;
  const JsonKeys outer(*json, path);
  if (outer.has("full_attention")) json = &outer.at("full_attention");  // of Gemma 3: the local layers have no choice
  const JsonKeys scaling(*json, path);
  const double base = scaling.real_or("rope_theta", config.real_or("rope_theta", family.rope_base));
  const bool fixed = found.architecture == "gemma" || found.architecture == "gemma2";
  if (!fixed) keys.real("rope.freq_base", base);
  const std::string type = scaling.text_or("rope_type", scaling.text_or("type", "default"));
  if (type == "default") return;
  if (type == "llama3") {
    found.rope_factors = llama3_factors(scaling, base, found.head_dim);
  } else if (type == "linear" || type == "yarn") {
    keys.text("rope.scaling.type", type);
    keys.real("rope.scaling.factor", scaling.real("factor"));
    if (scaling.has("original_max_position_embeddings"))
      keys.count("rope.scaling.original_context_length", scaling.count("original_max_position_embeddings", kMaxSize));
  } else {
    throw Unsupported(path + ": " + key + ": rope_type " + quote(type) + " is not supported");
  }
}

void set_common(const JsonKeys& config, const Family& family, Keys& keys, FolderConfig& found) {
  // Multimodal Gemma 3 leaves out what its text part has by default.
  const bool lenient = family.type.starts_with("gemma3");
  const auto size = [&](const char* key, std::uint64_t fallback, std::uint64_t max) {
    return lenient ? config.count_or(key, fallback, max) : config.count(key, max);
  };
  const std::uint64_t width = size("hidden_size", 2304, kMaxSize);
  found.layers = size("num_hidden_layers", 26, kMaxLayers);
  found.heads = size("num_attention_heads", 8, 4096);
  found.kv_heads = config.count_or("num_key_value_heads", lenient ? 4 : found.heads, 4096);
  found.vocabulary = size("vocab_size", 262208, kMaxSize);
  if (family.head_dim == 0 && !config.has("head_dim") && width % found.heads != 0)
    config.refuse("num_attention_heads",
                  std::to_string(found.heads) + " do not divide the width " + std::to_string(width));
  found.head_dim = config.count_or("head_dim", family.head_dim != 0 ? family.head_dim : width / found.heads, 4096);
  if (found.head_dim % 2 != 0) config.refuse("head_dim", std::to_string(found.head_dim) + " is odd");
  found.tied = config.flag_or("tie_word_embeddings", found.is_gemma());

  keys.count("context_length", size("max_position_embeddings", 131072, kMaxSize));
  keys.count("embedding_length", width);
  keys.count("block_count", found.layers);
  keys.count("feed_forward_length", size("intermediate_size", 9216, kMaxSize));
  keys.count("attention.head_count", found.heads);
  keys.count("attention.head_count_kv", found.kv_heads);
  keys.real("attention.layer_norm_rms_epsilon", config.real_or("rms_norm_eps", 1e-6));
  if (family.head_dim != 0 || found.head_dim * found.heads != width) {
    keys.count("attention.key_length", found.head_dim);
    keys.count("attention.value_length", found.head_dim);
  }
}

void set_of_family(const JsonKeys& config, Keys& keys, const FolderConfig& found) {
  if (found.architecture == "llama") {
    keys.count("rope.dimension_count", found.head_dim);
    keys.count("vocab_size", found.vocabulary);
  }
  if (found.architecture == "gemma2") {
    keys.real("attn_logit_softcapping", config.real_or("attn_logit_softcapping", 50));
    keys.real("final_logit_softcapping", config.real_or("final_logit_softcapping", 30));
  }
  if (found.architecture == "gemma3" && config.has("final_logit_softcapping"))
    keys.real("final_logit_softcapping", config.real("final_logit_softcapping"));
  if (found.architecture == "gemma2" || found.architecture == "gemma3")
    keys.count("attention.sliding_window", config.count_or("sliding_window", 4096, kMaxSize));
  const std::uint64_t pattern = config.count_or("sliding_window_pattern", 6, kMaxLayers);
  if (found.architecture == "gemma3" && pattern != 6) keys.count("attention.sliding_window_pattern", pattern);
}

// How its makers sample the model, which carat does then, too (general.sampling.*, as llama.cpp has it).
void set_sampling(const std::filesystem::path& file, GgufWriter& writer) {
  if (!std::filesystem::exists(file)) return;
  const std::string path = file.string();
  const Json json = read_json(file);
  const JsonKeys config(json, path);
  const auto real = [&](const char* theirs, const std::string& ours) {
    if (config.has(theirs)) writer.set("general.sampling." + ours, static_cast<float>(config.real(theirs)));
  };
  real("temperature", "temp");
  real("top_p", "top_p");
  real("min_p", "min_p");
  real("repetition_penalty", "penalty_repeat");
  const double top_k = config.real_or("top_k", -1);
  if (top_k >= 0 && top_k < 1e6) writer.set("general.sampling.top_k", static_cast<std::int32_t>(top_k));
}

}  // namespace

FolderConfig read_folder_config(const std::filesystem::path& folder, GgufWriter& writer) {
  const std::string path = (folder / "config.json").string();
  if (!std::filesystem::exists(path))
    throw BadFile(path + ": is missing: tensors alone do not say what model they make");
  const Json json = read_json(path);
  const JsonKeys whole(json, path);
  const Family& family = find_family(whole, path);
  const JsonKeys config(whole.has("text_config") ? whole.at("text_config") : json, path);

  FolderConfig found;
  found.architecture = family.architecture;
  writer.set("general.architecture", family.architecture);
  writer.set("general.type", std::string_view("model"));
  const std::string name = std::filesystem::absolute(folder).lexically_normal().filename().string();
  if (!name.empty()) writer.set("general.name", std::string_view(name));
  Keys keys(writer, family.architecture);
  set_common(config, family, keys, found);
  set_rope(config, path, family, keys, found);
  set_of_family(config, keys, found);
  set_sampling(folder / "generation_config.json", writer);
  return found;
}

}  // namespace carat
