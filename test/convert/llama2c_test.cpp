#include <cmath>
#include <cstring>

#include "convert/compress.h"
#include "convert/source.h"
#include "engine/error.h"
#include "test/support/catch.h"
#include "test/support/corrupt.h"
#include "test/support/fixtures.h"
#include "test/support/safetensors_writer.h"
#include "test/support/temp_dir.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;

std::vector<float> read_all(const SourceTensor& tensor) {
  std::vector<float> values(tensor.rows() * tensor.cols());
  tensor.read(0, tensor.rows(), values.data());
  return values;
}

SourceOptions with_tokenizer(const char* name) { return {test::fixtures() / "stories260K" / name}; }

TEST_CASE("llama2.c: a checkpoint holds the tensors of the published GGUF", "[llama2c][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const std::string name = GENERATE("stories260K.bin", "checkpoint_v1.bin");
  const ModelSource source = open_source(test::fixtures() / "stories260K" / name, with_tokenizer("tok512.bin"));
  const ModelSource gguf = open_source(test::fixtures() / "stories260K_gguf" / "stories260K.gguf");
  CHECK(source.format == "llama2c");
  for (const SourceTensor& tensor : source.tensors) {
    INFO(tensor.name);
    REQUIRE(gguf.find(tensor.name) != nullptr);
    CHECK(tensor.dims == gguf.find(tensor.name)->dims);
    CHECK((read_all(tensor) == read_all(*gguf.find(tensor.name))));
  }
  CHECK(source.tensors.size() + 1 == gguf.tensors.size());  // where the output is written out
  CHECK(source.metadata().texts("tokenizer.ggml.tokens") == gguf.metadata().texts("tokenizer.ggml.tokens"));
  CHECK(source.metadata().reals("tokenizer.ggml.scores") == gguf.metadata().reals("tokenizer.ggml.scores"));
}

TEST_CASE("llama2.c: its tokenizer and the SentencePiece model it was made from say the same", "[llama2c][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto path = test::fixtures() / "stories260K" / "stories260K.bin";
  const ModelSource bin = open_source(path, with_tokenizer("tok512.bin"));
  const ModelSource model = open_source(path, with_tokenizer("tok512.model"));
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type"}) {
    INFO(key);
    CHECK(describe(*bin.metadata().find(key)) == describe(*model.metadata().find(key)));
  }
  CHECK(bin.metadata().texts("tokenizer.ggml.tokens") == model.metadata().texts("tokenizer.ggml.tokens"));
  CHECK(bin.metadata().integers("tokenizer.ggml.token_type") == model.metadata().integers("tokenizer.ggml.token_type"));
}

TEST_CASE("llama2.c: what is not a checkpoint, or not a whole one, is refused", "[llama2c][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const TempDir folder;
  const auto options = with_tokenizer("tok512.bin");
  CHECK_THROWS_AS(open_source(test::fixtures() / "stories260K" / "checkpoint_v1_swapped_magic.bin", options), BadFile);
  const auto path = folder / "x.bin";
  std::string bytes = test::slurp_text(test::fixtures() / "stories260K" / "stories260K.bin");
  test::write_file(path, bytes);
  CHECK_THROWS_WITH(open_source(path), Contains("has no tokenizer inside, and there is no tokenizer.bin beside it"));
  std::filesystem::resize_file(path, bytes.size() - 4);
  CHECK_THROWS_WITH(open_source(path, options),
                    Contains("has 1056536 bytes, but a llama2.c checkpoint of this shape has 1056540"));
  test::write_file(folder / "short.bin", test::slurp_text(options.tokenizer).substr(0, 3000));
  test::write_file(path, bytes);
  CHECK_THROWS_AS(open_source(path, {folder / "short.bin"}), BadFile);
}

TEST_CASE("llama2.c: version 2 gives its groups of int8 back", "[llama2c]") {
  const TempDir folder;
  constexpr std::int32_t kDim = 32, kHidden = 64, kLayers = 1, kHeads = 2, kVocabulary = 4, kGroup = 16;
  std::string bytes(256, '\0');
  const std::int32_t header[] = {0x616B3432, 2, kDim, kHidden, kLayers, kHeads, kHeads, kVocabulary, 8};
  std::memcpy(bytes.data(), header, sizeof header);
  bytes[36] = 1;
  bytes[37] = kGroup;
  bytes.append(3 * kDim * sizeof(float), '\0');
  const auto matrix = [&](std::size_t rows, std::size_t cols) {
    for (std::size_t i = 0; i < rows * cols; ++i) bytes += static_cast<char>(i % 255);
    for (std::size_t g = 0; g < rows * cols / kGroup; ++g) {
      const float scale = static_cast<float>(g + 1);
      bytes.append(reinterpret_cast<const char*>(&scale), sizeof scale);
    }
  };
  matrix(kVocabulary, kDim);
  for (int i = 0; i < 4; ++i) matrix(kDim, kDim);
  matrix(kHidden, kDim), matrix(kDim, kHidden), matrix(kHidden, kDim);
  test::write_file(folder / "x.bin", bytes);
  std::string tokenizer(4, '\0');
  for (int i = 0; i < kVocabulary; ++i)
    tokenizer.append(std::string(4, '\0') + std::string("\1\0\0\0", 4) + static_cast<char>('a' + i));
  test::write_file(folder / "tokenizer.bin", tokenizer);
  const ModelSource source = open_source(folder / "x.bin");
  std::vector<float> rows(2 * kDim);
  source.find("token_embd.weight")->read(1, 2, rows.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t at = kDim + i;
    CHECK(rows[i] == static_cast<float>(static_cast<std::int8_t>(at % 255)) * static_cast<float>(at / kGroup + 1));
  }
}

}  // namespace
}  // namespace carat
