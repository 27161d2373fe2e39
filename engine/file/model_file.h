// What a model file holds, verified and not interpreted: metadata and tensors, whatever the format.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/mapped_file.h"
#include "engine/file/metadata.h"
#include "kernels/dtype.h"
#include "kernels/tensor.h"

namespace carat {

struct FileTensor {
  std::string name;  // canonical: as GGUF calls it
  DType dtype = DType::f32;
  std::array<std::uint64_t, 4> dims = {1, 1, 1, 1};  // dims[0] is the length of a row; from n_dims on, 1
  std::size_t n_dims = 0;
  std::uint64_t offset = 0;  // from the start of the tensor data of its part
  std::span<const std::byte> bytes;
  float scale = 1;  // multiplies every element
};

// [dims[1] * dims[2] * dims[3], dims[0]]: more than two dimensions become rows. A vector is one row.
Tensor as_matrix(const FileTensor& tensor);

// One file, as the reader of its format hands it over: the directory is read, the tensors are not yet looked for.
struct FilePart {
  std::string path;
  MappedFile mapping;                // empty if the bytes belong to the caller
  std::span<const std::byte> bytes;  // the whole file
  std::uint32_t version = 0;
  Metadata metadata;
  std::vector<FileTensor> tensors;  // without their bytes, unless the reader has placed them itself
  std::uint64_t data_start = 0;     // where offsets count from; may lie beyond the file if there are no tensors
  std::uint64_t alignment = 1;      // of offsets
  // What the reader made that is not in the file as it is used: bytes of tensors, texts of metadata.
  std::vector<std::vector<std::byte>> owned = {};
};

// Immutable. Names, texts and tensor bytes live as long as it does.
class ModelFile {
 public:
  // Verifies and places the tensors of all parts; the first part's metadata is the model's. Throws BadFile, and
  // Unsupported for a file that is something else than a model.
  ModelFile(std::string_view format, std::vector<FilePart> parts);

  const std::string& path() const { return parts_.front().path; }
  std::string_view format() const { return format_; }
  std::uint32_t version() const { return parts_.front().version; }
  std::size_t part_count() const { return parts_.size(); }
  std::uint64_t byte_count() const;  // of all parts
  bool lies_in_memory() const { return parts_.front().mapping.loading().copies; }

  const Metadata& metadata() const { return parts_.front().metadata; }

  // In the order of the file. None in a file that holds only a vocabulary.
  const std::vector<FileTensor>& tensors() const { return tensors_; }

  const FileTensor* find(std::string_view name) const;  // null if missing
  const FileTensor& need(std::string_view name) const;  // throws BadFile if missing

  // Copies bytes of a tensor. Throws BadFile, where touching them would end the process, if the file was cut short
  // meanwhile; for programs that read every byte once. Any number of threads may copy at once.
  void copy(std::span<const std::byte> bytes, std::byte* to) const;

 private:
  std::string_view format_;
  std::vector<FilePart> parts_;
  std::vector<FileTensor> tensors_;
  std::map<std::string_view, std::size_t> index_;  // of names, into tensors_
};

// Maps the file, knows its format by its first bytes, reads and verifies it. The tensor data is not touched, unless
// `loading` has all of it read or locked.
ModelFile open_model_file(const std::filesystem::path& path, const Loading& loading = {});

}  // namespace carat
