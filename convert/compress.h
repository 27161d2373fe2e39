// From any model to a file of the types that were asked for.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "convert/encoder.h"
#include "convert/policy.h"
#include "convert/source.h"
#include "engine/file/output_file.h"

namespace carat {

// What becomes of one tensor.
struct PlannedTensor {
  SourceTensor tensor;
  Packing type;
  std::uint64_t bytes;  // in the output
};

// The tensors of a GGUF file, in its order. Sorts the source's tensors.
std::vector<PlannedTensor> plan_gguf(ModelSource& source, const FileType& type);

// The element types of .sbs files that are written; vectors stay f32.
inline constexpr std::string_view kSbsTypes[] = {"sfp", "bf16", "f32", "i8", "nuq"};

// The tensors of an .sbs file, under gemma.cpp's names, in its order. `type` is one of kSbsTypes.
std::vector<PlannedTensor> plan_sbs(const ModelSource& source, std::string_view type);

struct CompressOptions {
  std::size_t threads = 1;
  std::string_view isa = {};                              // empty: the best there is
  Existing existing = Existing::keep;                     // whether a target is replaced
  bool verify = false;                                    // read back and compare before it is put in place
  std::stop_token stop = {};                              // asks for Cancelled
  std::function<void(std::uint64_t done)> progress = {};  // bytes of the source, of source_bytes() of the plan
};

// Tensors of one kind and one type: "blk.*.ffn_down.weight".
struct TensorGroup {
  std::string name;
  Packing type;
  std::size_t tensors = 0;
  std::uint64_t bytes_before = 0, bytes_after = 0;
  Distortion distortion;
};

struct CompressReport {
  std::vector<TensorGroup> groups;  // in the order of the file
  std::uint64_t file_bytes = 0;

  void add(const PlannedTensor& planned, const Distortion& distortion);
  TensorGroup total() const;
};

std::uint64_t source_bytes(std::span<const PlannedTensor> plan);

// Writes `target` whole or not at all. Throws BadFile, Unsupported, NoResource and Cancelled.
CompressReport compress_to_gguf(ModelSource& source, const FileType& type, const std::filesystem::path& target,
                                const CompressOptions& options);
CompressReport compress_to_sbs(const ModelSource& source, std::string_view type, const std::filesystem::path& target,
                               const CompressOptions& options);

}  // namespace carat
