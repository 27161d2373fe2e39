// safetensors files: a JSON directory, then the tensors. Specification: README of huggingface/safetensors.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/mapped_file.h"
#include "kernels/dtype.h"

namespace carat {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;                 // as the file names it: "BF16"
  std::vector<std::uint64_t> shape;  // the length of a row comes last
  std::uint64_t offset = 0;          // in the file
  std::uint64_t bytes = 0;

  // Of floats of 16 and 32 bits; none for other types.
  std::optional<DType> stored_as() const;
};

// Reads and verifies the directory: lengths, types, shapes, places, overlaps. The entries are in the order of their
// data. Throws BadFile, and Unsupported for a type without a known size.
std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> bytes, const std::string& path);

// The files of a model: the one named, or those that an index (`*.safetensors.index.json`) lists. Throws BadFile.
std::vector<std::filesystem::path> safetensors_files(const std::filesystem::path& path);

}  // namespace carat
