// gemma.cpp's `.sbs` files, reader and writer: a store of named blobs that holds tensors, their directory, the
// configuration and the tokenizer. Described from the history of google/gemma.cpp up to October 2025.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/mapped_file.h"
#include "engine/file/model_file.h"
#include "engine/file/sbs_config.h"

namespace carat {

inline constexpr std::string_view kSbsMagic = "SBS\n";

// The metadata key under which a ModelFile has the SentencePiece model of a file that has one inside.
inline constexpr std::string_view kSentencePieceKey = "tokenizer.sentencepiece_model";

bool is_sbs(std::span<const std::byte> bytes);

// Reads and verifies a file of any generation, and gives it the names, shapes and metadata of a GGUF file. Stacked
// matrices become views of their rows where these lie together; copied are attention outputs stored head by head, keys
// and values of several heads, and norm gains, which gain their 1. i8 and nuq are decoded to bf16. What the model's
// text does not need keeps its own name. Throws BadFile and Unsupported.
ModelFile read_sbs(MappedFile file, const std::filesystem::path& path);

// The same for a file in memory. The bytes outlive the result.
ModelFile parse_sbs(std::span<const std::byte> bytes, const std::string& name);

// `rows` rows of a canonical tensor, from `first_row` on, and of each of them the columns from `first_col` on.
struct SbsPiece {
  std::string tensor;
  std::size_t first_row = 0, rows = 0;
  std::size_t first_col = 0;
};

// A matrix [rows, cols] of an `.sbs` file: pieces of canonical tensors, one below the other.
struct SbsTensorPlan {
  std::string name;
  std::size_t rows = 0, cols = 0;
  std::vector<SbsPiece> pieces;
  bool subtract_one = false;  // norm gains, which GGUF files hold with 1 added: to be stored as f32 or bf16
};

// The tensors of a Gemma in the order in which gemma.cpp's exporter writes them. `config.vocabulary` is the rows of the
// embedding.
std::vector<SbsTensorPlan> sbs_plan(const ModelConfig& config);

// One entry of the directory: a tensor [rows, cols], whose decoded elements are to be multiplied by `scale`.
struct SbsTensor {
  std::string name;  // at most 16 letters (is_sbs_key)
  SbsType type = SbsType::f32;
  std::size_t rows = 0, cols = 0;
  float scale = 1;
};

// The bytes that the elements of a matrix take; groups of i8 and nuq run on from row to row.
std::uint64_t sbs_bytes(SbsType type, std::uint64_t elements);

// Collects tensors, then writes them in the order of their arrival, followed by configuration, tokenizer and directory:
// a store of the second kind, of July 2025, as gemma.cpp's own writer makes it.
class SbsWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  using Source = std::function<void(const Sink&)>;  // hands a tensor's bytes to the sink, in as many pieces as it likes

  explicit SbsWriter(SbsConfig config);

  // `source` is called while writing, and gives sbs_bytes(type, rows * cols) bytes. Throws Unsupported for a name that
  // no file can hold, and for more tensors than one does.
  void add_tensor(SbsTensor tensor, Source source);
  // The bytes outlive the writing.
  void add_tensor(SbsTensor tensor, std::span<const std::byte> bytes);

  // A SentencePiece model, which outlives the writing; without one the file says that it has none.
  void set_tokenizer(std::string_view model);

  void write(const Sink& sink) const;

 private:
  struct Pending {
    SbsTensor tensor;
    std::uint64_t size;
    Source source;
  };

  SbsConfig config_;
  std::string_view tokenizer_;
  std::vector<Pending> tensors_;
};

}  // namespace carat
