#include "convert/policy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <string>
#include <tuple>

#include "engine/error.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::array kFileTypes = {
    FileType{"f32", 0, DType::f32, "F32"},         FileType{"f16", 1, DType::f16, "F16"},
    FileType{"bf16", 32, DType::bf16, "BF16"},     FileType{"q8_0", 7, DType::q8_0, "Q8_0"},
    FileType{"q4_0", 2, DType::q4_0, "Q4_0"},      FileType{"q4_1", 3, DType::q4_1, "Q4_1"},
    FileType{"q5_0", 8, DType::q5_0, "Q5_0"},      FileType{"q5_1", 9, DType::q5_1, "Q5_1"},
    FileType{"q4_k_s", 14, DType::q4_k, "Q4_K_S"}, FileType{"q4_k_m", 15, DType::q4_k, "Q4_K_M"},
    FileType{"q5_k_s", 16, DType::q5_k, "Q5_K_S"}, FileType{"q5_k_m", 17, DType::q5_k, "Q5_K_M"},
    FileType{"q6_k", 18, DType::q6_k, "Q6_K"},
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// -1 for a tensor of no layer.
int layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return -1;
  int layer = -1;
  const char* const end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, layer);
  return error == std::errc() && at != end && *at == '.' ? layer : -1;
}

// Vectors, norms and the gates of experts stay as they are.
bool is_quantised_kind(const SourceTensor& tensor) {
  return tensor.rows() > 1 && tensor.name.ends_with("weight") && !contains(tensor.name, "_norm.weight") &&
         !contains(tensor.name, "ffn_gate_inp.weight");
}

// Every eighth of the layers at both ends, and every third between.
bool gets_more_bits(std::size_t i, std::size_t layers) {
  return i < layers / 8 || i >= 7 * layers / 8 || (i - layers / 8) % 3 == 2;
}

// What is left of a type whose block does not divide the row.
DType fall_back(DType type, std::size_t cols) {
  const auto fits = [cols](DType t) { return cols % info(t).block == 0; };
  if (fits(type)) return type;
  if (type == DType::q4_k) type = DType::q5_0;
  if (type == DType::q5_k) type = DType::q5_1;
  if (type == DType::q6_k) type = DType::q8_0;
  if (type == DType::q2_k || type == DType::q3_k || type == DType::iq4_xs) type = DType::iq4_nl;
  return fits(type) ? type : DType::f16;
}

class Mixture {
 public:
  Mixture(const FileType& type, const Metadata& metadata, std::span<const SourceTensor> tensors)
      : type_(type.name), base_(type.base) {
    const std::string architecture(metadata.text_or("general.architecture", ""));
    const auto count = [&](const char* key, std::size_t fallback) {
      const std::string name = architecture + "." + key;
      return metadata.has(name) && !metadata.is_array(name) ? metadata.count(name, 0, std::size_t{1} << 20) : fallback;
    };
    layers_ = count("block_count", 0);
    const std::size_t heads = count("attention.head_count", 0);
    const bool groups = count("attention.head_count_kv", heads) != heads;
    shares_values_of_many_heads_ = layers_ == 80 && ((architecture == "llama" && groups) || architecture == "qwen2");
    for (const SourceTensor& tensor : tensors) {
      has_output_ = has_output_ || tensor.name == "output.weight";
      if (contains(tensor.name, "attn_v.weight") || contains(tensor.name, "attn_qkv.weight")) ++values_;
    }
  }

  DType choose(const SourceTensor& tensor) { return fall_back(wish(tensor), tensor.cols()); }

 private:
  DType wish(const SourceTensor& tensor) {
    const std::string_view name = tensor.name;
    if (name == "output.weight" || (!has_output_ && name == "token_embd.weight")) return of_output(tensor);
    if (name == "token_embd.weight") return base_;
    if (contains(name, "attn_v.weight")) return of_values(value_++);
    if (contains(name, "attn_qkv.weight")) return of_fused();
    if (contains(name, "ffn_down")) return of_down(down_++);
    return base_;
  }

  // Also of an embedding that serves as output.
  DType of_output(const SourceTensor& tensor) const {
    if (base_ == DType::q8_0 || tensor.cols() % info(base_).block != 0) return DType::q8_0;
    return DType::q6_k;
  }

  DType of_values(std::size_t i) const {
    DType type = base_;
    if (is_medium() && gets_more_bits(i, values_)) type = DType::q6_k;
    if (type_ == "q4_k_s" && i < 4) type = DType::q5_k;
    return shares_values_of_many_heads_ && type == DType::q4_k ? DType::q5_k : type;
  }

  DType of_fused() const {
    if (!is_medium()) return base_;
    return base_ == DType::q4_k ? DType::q5_k : DType::q6_k;
  }

  DType of_down(std::size_t i) const {
    if (is_medium() && gets_more_bits(i, layers_)) return DType::q6_k;
    return type_ == "q4_k_s" && i < layers_ / 8 ? DType::q5_k : base_;
  }

  bool is_medium() const { return type_.ends_with("_m"); }

  std::string_view type_;
  DType base_;
  std::size_t layers_ = 0;
  bool has_output_ = false;
  bool shares_values_of_many_heads_ = false;  // as the 70B models do: cheap to keep well
  std::size_t values_ = 0;                    // how many there are
  std::size_t value_ = 0, down_ = 0;          // how many have passed
};

}  // namespace

std::span<const FileType> file_types() { return kFileTypes; }

const FileType* find_file_type(std::string_view name) {
  const auto same = [name](const FileType& type) {
    return std::ranges::equal(name, type.name,
                              [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
  };
  const auto at = std::ranges::find_if(kFileTypes, same);
  return at == kFileTypes.end() ? nullptr : &*at;
}

void sort_like_reference(std::vector<SourceTensor>& tensors) {
  std::ranges::sort(tensors, {}, [](const SourceTensor& tensor) {
    return std::pair<int, std::string_view>(layer_of(tensor.name), tensor.name);
  });
}

std::vector<DType> choose_types(const FileType& type, const Metadata& metadata, std::span<const SourceTensor> tensors) {
  Mixture mixture(type, metadata, tensors);
  std::vector<DType> types;
  for (const SourceTensor& tensor : tensors) {
    if (!is_quantised_kind(tensor)) {
      types.push_back(info(tensor.dtype).gguf ? tensor.dtype : DType::f32);
    } else if (is_quantised(type.base)) {
      types.push_back(mixture.choose(tensor));
    } else {
      types.push_back(type.base);
    }
  }
  return types;
}

}  // namespace carat
