// The families of models: one file each, from metadata to ModelConfig. A new architecture is one file and one row.
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "engine/model_config.h"

namespace carat {

// What the metadata of one file says, read under its architecture's prefix.
class ArchKeys {
 public:
  ArchKeys(const ModelFile& file, std::string_view architecture);

  const Metadata& metadata() const { return metadata_; }
  std::string key(std::string_view name) const;  // "block_count" -> "llama.block_count"
  bool has(std::string_view name) const { return metadata_.has(key(name)); }

  // A number that some files give per layer: one number, or as many equal ones as there are layers.
  std::size_t uniform_count(std::string_view name, std::size_t min, std::size_t max) const;
  std::size_t uniform_count_or(std::string_view name, std::size_t fallback, std::size_t min, std::size_t max) const;

  // The configuration as far as all families agree: sizes, epsilon, 1/sqrt(head_dim), one rope for all layers.
  // The epsilon may be missing where a family has one to fall back on.
  ModelConfig common(std::optional<double> eps_if_missing = std::nullopt) const;
  // Linear scaling's factor, 1 without. Throws Unsupported for other kinds of scaling.
  double rope_factor() const;

  [[noreturn]] void refuse(std::string_view name, const std::string& why) const;       // BadFile
  [[noreturn]] void unsupported(std::string_view name, const std::string& why) const;  // Unsupported

 private:
  const std::string& path_;
  const Metadata& metadata_;
  std::string architecture_;
};

struct Architecture {
  std::string_view name;
  ModelConfig (*read)(const ArchKeys&);
};

std::span<const Architecture> architectures();

ModelConfig read_llama(const ArchKeys&);
ModelConfig read_qwen2(const ArchKeys&);
ModelConfig read_qwen3(const ArchKeys&);
ModelConfig read_gemma(const ArchKeys&);
ModelConfig read_gemma2(const ArchKeys&);
ModelConfig read_gemma3(const ArchKeys&);

}  // namespace carat
