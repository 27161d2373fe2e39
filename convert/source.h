// A model on its way to a file: metadata and tensors under their canonical (GGUF) names, whatever it is read from.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/gguf.h"
#include "engine/file/mapped_file.h"
#include "engine/file/model_file.h"
#include "engine/file/sbs_contents.h"
#include "engine/file/sbs_models.h"
#include "kernels/dtype.h"

namespace carat {

// Gives rows [first, first + count) as f32, [count, row length]. May be called by many threads at once. Throws BadFile.
using ReadRows = std::function<void(std::size_t first, std::size_t count, float* out)>;
// Gives the same rows as they are stored, `out` being as large as they are.
using CopyRows = std::function<void(std::size_t first, std::span<std::byte> out)>;

struct SourceTensor {
  std::string name;
  DType dtype = DType::f32;         // in which the values are stored, or, where they are not, one that keeps them
  std::vector<std::uint64_t> dims;  // dims[0] is the length of a row
  ReadRows read;
  CopyRows copy;       // empty when the rows are not stored as they are read
  ReadRows read_gain;  // of a norm of Gemma that is stored without its 1: the same without it; else empty

  std::size_t cols() const { return dims.empty() ? 1 : dims[0]; }
  std::size_t rows() const;
  std::uint64_t bytes() const { return row_bytes(dtype, rows() * cols()); }
};

// Owns everything that its tensors read from.
struct ModelSource {
  std::string path;
  std::string format;  // "gguf", "sbs", "safetensors", "llama2c", "raw"
  std::vector<SourceTensor> tensors;

  const Metadata& metadata() const { return file->metadata(); }
  const SourceTensor* find(std::string_view name) const;  // null if missing

  std::unique_ptr<const ModelFile> file;  // of the metadata; of the tensors too where the format is one of a ModelFile
  std::vector<std::unique_ptr<const MappedFile>> mappings;
  std::unique_ptr<const std::vector<std::byte>> header;  // a GGUF header, where the metadata was made here
  std::deque<std::vector<float>> made;                   // values that are in no file
  std::span<const std::byte> sentencepiece;              // a SentencePiece model, where the tokenizer is one
  std::optional<SbsConfig> sbs_config;                   // of the sources that gemma.cpp made
  std::vector<SourceTensor> sbs_extras;                  // of the same: what the text does not need, by its own name
  std::vector<std::string> sbs_order;                    // and the order of all, by their own names
  std::optional<SbsWrapping> wrapping;                   // where the user says how prompts are framed
};

struct SourceOptions {
  std::filesystem::path tokenizer = {};  // of formats that come without one; may be empty
  std::filesystem::path config = {};     // a model file that a raw dump has the configuration of; may be empty
  std::optional<NamedGemma> model = {};  // which model it is: a raw dump may not say, other formats must agree
};

// Opens a GGUF or .sbs file, a safetensors file, its index, the folder of a Hugging Face model, a checkpoint of
// llama2.c, or a raw dump. What is none of them is a dump too if the options say of what. Throws BadFile and
// Unsupported.
ModelSource open_source(const std::filesystem::path& path, const SourceOptions& options = {});

// The same of a GGUF file that is open.
ModelSource open_source(ModelFile file, const SourceOptions& options = {});

// The readers of formats that need more than a ModelFile.
ModelSource open_model_folder(const std::filesystem::path& folder, const SourceOptions& options);
ModelSource open_llama2c(const std::filesystem::path& path, const SourceOptions& options);
ModelSource open_sbs(const std::filesystem::path& path, const SourceOptions& options);
ModelSource open_raw_dump(const std::filesystem::path& path, const SourceOptions& options);
bool is_raw_dump(std::span<const std::byte> bytes);  // one that names its matrices
bool is_llama2c(std::span<const std::byte> bytes);

// Makes the metadata of a GGUF or .sbs file those of the source, and its tokenizer too.
void adopt_file(ModelSource& source, ModelFile file);

// Adds the tensors of the source's file.
void add_file_tensors(ModelSource& source);

// Makes file and tensors of what gemma.cpp has made. `mapping` holds the bytes of `contents`.
void adopt_sbs(ModelSource& source, const SbsContents& contents, MappedFile mapping);

// The configuration that gemma.cpp would have of it. Throws BadFile, and Unsupported for what no .sbs file can say.
SbsConfig sbs_config_of(const ModelSource& source);

// Its tokenizer as a SentencePiece model; empty if it has none.
std::vector<std::byte> sentencepiece_of(const ModelSource& source);

// Takes the SentencePiece model in a file as the source's.
void adopt_tokenizer(ModelSource& source, const std::filesystem::path& path);

// Makes `metadata` that of the source.
void set_metadata(ModelSource& source, const GgufWriter& metadata);

// Reads bytes of a mapped file. Throws BadFile, which names `path`, if they are gone.
void read_named(const MappedFile& file, const std::string& path, std::uint64_t offset, std::span<std::byte> out);

// A tensor whose rows lie in a mapped file that the source owns, back to back.
SourceTensor stored_tensor(std::string name, DType dtype, std::vector<std::uint64_t> dims, const MappedFile& file,
                           std::uint64_t offset, const std::string& path);

// A tensor of values that the source computed.
SourceTensor made_tensor(ModelSource& source, std::string name, std::vector<std::uint64_t> dims,
                         std::vector<float> values);

}  // namespace carat
