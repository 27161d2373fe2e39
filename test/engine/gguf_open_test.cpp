// Files on a disk: what opens, what does not, and what the user is told.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "engine/file/gguf.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

TEST_CASE("open: what is no file to map is refused with its reason", "[gguf]") {
  const TempDir folder;
  CHECK_THROWS_WITH(open_model_file(folder / "none.gguf"),
                    Contains("none.gguf: cannot be opened: No such file or directory"));
  CHECK_THROWS_WITH(open_model_file(folder.path()), Contains(": is a directory, not a file"));
  CHECK_THROWS_WITH(open_model_file("/dev/null"), Contains("/dev/null: is not a regular file"));
  write_text(folder / "empty.gguf", "");
  CHECK_THROWS_WITH(open_model_file(folder / "empty.gguf"), Contains("empty.gguf: is empty"));
  CHECK_THROWS_AS(open_model_file(folder / "empty.gguf"), BadFile);
}

TEST_CASE("open: a pipe is refused and never waited for", "[gguf]") {
  const TempDir folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(open_model_file(folder / "pipe"), Contains("pipe: is not a regular file"));
}

TEST_CASE("open: a file without permission is refused", "[gguf]") {
  if (::geteuid() == 0) {
    WARN("skipped: the superuser may read everything");
    return;
  }
  const TempDir folder;
  write_text(folder / "secret.gguf", "GGUF");
  std::filesystem::permissions(folder / "secret.gguf", std::filesystem::perms::none);
  CHECK_THROWS_WITH(open_model_file(folder / "secret.gguf"), Contains("cannot be opened: Permission denied"));
}

TEST_CASE("open: files of other kinds are recognised for what they are", "[gguf]") {
  struct Case {
    std::string_view content;
    const char* message;
  };
  const auto [content, message] = GENERATE(
      Case{"GG", "is not a GGUF file: it starts with 'GG'"},
      Case{std::string_view("\x20\x01\0\0\x00\x03\0\0", 8), R"(is not a GGUF file: it starts with ' \x01\x00\x00')"},
      Case{"FUGG\1\0\0", "like a draft of GGUF from July 2023"}, Case{"tjgg....", "from before GGUF"},
      Case{"PK\3\4....", "like a PyTorch checkpoint"},
      Case{"version https://git-lfs.github.com/spec/v1\noid", "like a Git LFS pointer"},
      Case{"<!DOCTYPE html>", "like a web page"},
      Case{std::string_view("\x10\0\0\0\0\0\0\0{\"a\":{}}", 16), "like a safetensors file"});
  const TempDir folder;
  write_text(folder / "model.bin", content);
  CHECK_THROWS_WITH(open_model_file(folder / "model.bin"), Contains(message));
  CHECK_THROWS_AS(open_model_file(folder / "model.bin"), BadFile);
}

TEST_CASE("open: the bytes stay where they are when a mapping moves", "[gguf]") {
  const TempDir folder;
  write_text(folder / "x", "abc");
  MappedFile first = MappedFile::open(folder / "x");
  const std::byte* start = first.bytes().data();
  MappedFile second = std::move(first);
  CHECK(first.bytes().empty());
  CHECK(second.bytes().data() == start);
  MappedFile third;
  third = std::move(second);
  CHECK(third.bytes().size() == 3);
}

TEST_CASE("open: a file read at once has the bytes of the mapped one, and keeps them", "[gguf]") {
  const TempDir folder;
  const std::string text(10000, 'x');  // more than a page
  write_text(folder / "x", text);
  const MappedFile copied = MappedFile::open(folder / "x", {.copies = true, .locks = false});
  CHECK(copied.loading().copies);
  std::filesystem::resize_file(folder / "x", 1);  // which ends the process that touches a mapping
  const auto bytes = copied.bytes();
  CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == text);
}

TEST_CASE("open: a real small file gives its values and tensors", "[gguf][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const ModelFile file = open_model_file(test::fixtures() / "gguf_misc/test-le-v3.gguf");
  CHECK(file.version() == 3);
  CHECK(file.metadata().text("general.architecture") == "llama");
  CHECK(file.metadata().count("llama.block_count", 1, 512) == 12);
  CHECK(file.metadata().count("answer", 42, 42) == 42);
  CHECK(file.metadata().real("answer_in_float", 42, 42) == 42);
  CHECK(file.metadata().texts("tokenizer.ggml.tokens") == std::vector<std::string_view>{"a", "b", "c", "d", "e"});
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.tensors()[1].name == "tensor2");
  const Tensor tensor = as_matrix(file.need("tensor2"));
  CHECK(tensor.dtype == DType::f32);
  CHECK(tensor.rows == 1);
  CHECK(tensor.cols == 64);
  CHECK(static_cast<const float*>(tensor.where)[63] == 101.0f);
}

TEST_CASE("open: files without tensors, or with a large vocabulary, open", "[gguf][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto folder = test::fixtures() / "gguf_misc";
  CHECK(open_model_file(folder / "empty.gguf").tensors().empty());
  CHECK(open_model_file(test::fixtures() / "stories260K_gguf/stories260K.gguf").tensors().size() == 48);
  const ModelFile random = open_model_file(folder / "llama-2-tiny-random.gguf");
  CHECK(random.metadata().texts("tokenizer.ggml.tokens").size() == 32000);
  CHECK(random.metadata().reals("tokenizer.ggml.scores").size() == 32000);
  CHECK(as_matrix(random.need("token_embd.weight")).rows == 32000);
}

TEST_CASE("open: old, foreign and broken real files are refused by name", "[gguf][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto folder = test::fixtures() / "gguf_misc";
  for (const char* v1 : {"gguf_misc/ggml-vocab-llama.v1.gguf", "gguf_misc/ggml-vocab-llama.v1-notypes.gguf",
                         "stories260K_gguf/tinyllamas-stories-260k-f32.gguf"}) {
    CHECK_THROWS_AS(open_model_file(test::fixtures() / v1), Unsupported);
    CHECK_THROWS_WITH(open_model_file(test::fixtures() / v1), Contains("GGUF version 1"));
  }
  CHECK_THROWS_WITH(open_model_file(folder / "test-le-v3-notokens.gguf"),
                    Contains("key 'general.architecture': appears twice"));
  CHECK_THROWS_AS(open_model_file(folder / "test-be-v3.gguf"), Unsupported);
  CHECK_THROWS_WITH(open_model_file(folder / "test-be-v3.gguf"), Contains("big-endian"));
  CHECK_THROWS_AS(open_model_file(folder / "prespec_fugg.gguf"), BadFile);
  CHECK_THROWS_WITH(open_model_file(folder / "prespec_fugg.gguf"), Contains("July 2023"));
  CHECK_THROWS_AS(open_model_file(folder / "tiny_truncated.gguf"), BadFile);
  CHECK_THROWS_WITH(open_model_file(folder / "tiny_truncated.gguf"), Contains("tensor 'test.weight.0': is larger"));
}

TEST_CASE("open: every model among the fixtures opens", "[gguf][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto folder = GENERATE("micro", "vocab_gguf");
  std::size_t opened = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::fixtures() / folder)) {
    if (entry.path().extension() != ".gguf") continue;
    INFO(entry.path());
    const ModelFile file = open_model_file(entry.path());
    CHECK(file.metadata().has("general.architecture"));
    CHECK(file.tensors().empty() == (std::string_view(folder) == "vocab_gguf"));
    ++opened;
  }
  CHECK(opened > 0);
}

}  // namespace
}  // namespace carat
