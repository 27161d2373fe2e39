// The parts of reading a Hugging Face model folder: its configuration, its tokenizer, the names of its tensors.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convert/json_file.h"
#include "engine/file/gguf.h"

namespace carat {

// What config.json says, as far as tensors and tokenizer depend on it.
struct FolderConfig {
  std::string architecture;  // canonical: "gemma3"
  std::size_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  std::size_t vocabulary = 0;       // rows of the embedding
  bool tied = false;                // the embedding serves as output
  std::vector<float> rope_factors;  // [head_dim / 2], of Llama 3's scaling; else empty

  bool is_gemma() const { return architecture.starts_with("gemma"); }
};

// Sets the keys of the architecture. Throws BadFile, and Unsupported for architectures that are not known.
FolderConfig read_folder_config(const std::filesystem::path& folder, GgufWriter& writer);

// Sets the tokenizer's keys, from tokenizer.model or tokenizer.json. Returns the number of tokens, which is at most
// config.vocabulary, the rows of the embedding. Throws BadFile and Unsupported.
std::size_t read_folder_tokenizer(const std::filesystem::path& folder, const std::filesystem::path& chosen,
                                  const FolderConfig& config, GgufWriter& writer);

// The canonical name of a tensor; empty for one that a text model does not need. Throws Unsupported for one that is not
// known.
std::string canonical_name(const FolderConfig& config, const std::string& name);

}  // namespace carat
