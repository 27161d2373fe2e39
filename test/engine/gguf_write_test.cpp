#include <sys/stat.h>

#include <fstream>

#include "engine/file/gguf.h"
#include "engine/file/output_file.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"

namespace carat {
namespace {

using Catch::Contains;
using Catch::Equals;
using test::TempDir;
using Bytes = std::vector<std::byte>;

Bytes numbered(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

std::size_t files_in(const TempDir& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

TEST_CASE("gguf: what is written is read back, at any alignment", "[gguf]") {
  const std::uint32_t alignment = GENERATE(8u, 32u, 64u, 4096u);
  const Bytes data = numbered(4 * 18);
  const std::span<const std::byte> bytes(data);
  GgufWriter writer;
  writer.set("general.architecture", std::string_view("gemma"));
  writer.set("general.architecture", std::string_view("gemma3"));  // replaces
  writer.set("general.alignment", alignment);
  writer.set("gemma3.block_count", std::uint32_t{26});
  writer.set("gemma3.eps", 1e-6f);
  writer.set("big", std::uint64_t{1} << 40);
  writer.set_array<std::string_view>("tokens", {"<pad>", "", "▁a"});
  writer.set_array<float>("scores", {0.0f, -1.0f});
  writer.set_array<bool>("local", {true, false});
  writer.add_tensor("norm", DType::f32, {3}, bytes.first(12));
  writer.add_tensor("w", DType::q4_0, {64, 2}, [&](const GgufWriter::Sink& sink) {  // in pieces
    sink(bytes.first(18));
    sink(bytes.subspan(18));
  });
  writer.add_tensor("one", DType::f16, {}, bytes.subspan(3, 2));
  writer.add_tensor("cube", DType::bf16, {2, 3, 4}, bytes.first(48));

  const TempDir folder;
  writer.write(folder / "m.gguf");
  CHECK(files_in(folder) == 1);
  const ModelFile file = open_model_file(folder / "m.gguf");

  CHECK(file.format() == "gguf");
  CHECK(file.version() == 3);
  CHECK(file.part_count() == 1);
  CHECK(file.path() == (folder / "m.gguf").string());
  CHECK(file.byte_count() == std::filesystem::file_size(folder / "m.gguf"));
  CHECK(file.byte_count() % alignment == 0);

  const Metadata& meta = file.metadata();
  CHECK(meta.entries().front().key == "general.architecture");
  CHECK(meta.entries().size() == 8);
  CHECK(meta.text("general.architecture") == "gemma3");
  CHECK(meta.count("gemma3.block_count", 1, 512) == 26);
  CHECK(meta.real("gemma3.eps", 0, 1) == Approx(1e-6));
  CHECK(meta.count("big", 0, SIZE_MAX) == std::size_t{1} << 40);
  CHECK(meta.texts("tokens") == std::vector<std::string_view>{"<pad>", "", "▁a"});
  CHECK(meta.reals("scores") == std::vector<float>{0.0f, -1.0f});
  CHECK(meta.integers("local") == std::vector<std::int64_t>{1, 0});

  REQUIRE(file.tensors().size() == 4);
  CHECK(file.tensors()[0].name == "norm");
  for (const FileTensor& tensor : file.tensors()) CHECK(tensor.offset % alignment == 0);
  const FileTensor& w = file.need("w");
  CHECK(w.dtype == DType::q4_0);
  CHECK(Bytes(w.bytes.begin(), w.bytes.end()) == data);
  CHECK(file.need("one").bytes[1] == bytes[4]);
  CHECK(file.find("absent") == nullptr);
  CHECK_THROWS_WITH(file.need("absent"), Contains("m.gguf: tensor 'absent': is missing"));
}

TEST_CASE("gguf: tensors are matrices, rows of the first dimension", "[gguf]") {
  const Bytes data = numbered(96);
  const std::span<const std::byte> bytes(data);
  GgufWriter writer;
  writer.add_tensor("vector", DType::f32, {6}, bytes.first(24));
  writer.add_tensor("matrix", DType::f16, {4, 3}, bytes.first(24));
  writer.add_tensor("cube", DType::f16, {2, 3, 4}, bytes.first(48));
  Bytes out;
  writer.write([&](std::span<const std::byte> part) { out.insert(out.end(), part.begin(), part.end()); });
  const ModelFile file = parse_gguf(out, "m");

  const Tensor vector = as_matrix(file.need("vector"));
  CHECK(vector.rows == 1);
  CHECK(vector.cols == 6);
  const Tensor matrix = as_matrix(file.need("matrix"));
  CHECK(matrix.rows == 3);
  CHECK(matrix.cols == 4);
  const Tensor cube = as_matrix(file.need("cube"));
  CHECK(cube.rows == 12);
  CHECK(cube.cols == 2);
  for (const FileTensor& tensor : file.tensors()) {
    CHECK(byte_size(as_matrix(tensor)) == tensor.bytes.size());
    CHECK(as_matrix(tensor).where == tensor.bytes.data());
  }
}

TEST_CASE("gguf: a file that was read is written again byte for byte", "[gguf]") {
  CARAT_NEEDS_FIXTURES();
  const auto name = GENERATE("gguf_misc/test-le-v3.gguf", "micro/micro-gemma3-Q4_0.gguf", "micro/micro-llama-f16.gguf");
  const ModelFile file = open_model_file(test::fixtures() / name);
  GgufWriter writer;
  for (const Metadata::Entry& entry : file.metadata().entries()) writer.set(entry.key, entry.value);
  for (const FileTensor& tensor : file.tensors())
    writer.add_tensor(tensor.name, tensor.dtype, {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims},
                      tensor.bytes);
  const TempDir folder;
  writer.write(folder / "copy.gguf");
  CHECK(test::slurp(folder / "copy.gguf") == test::slurp(file.path()));
}

TEST_CASE("gguf: a tensor that is not as long as promised leaves no file", "[gguf]") {
  const Bytes data = numbered(32);
  const std::size_t given = GENERATE(0u, 31u, 32u);
  GgufWriter writer;
  writer.add_tensor("short", DType::f32, {9}, std::span<const std::byte>(data).first(given));
  const TempDir folder;
  CHECK_THROWS_WITH(writer.write(folder / "m.gguf"), Contains("tensor 'short'"));
  CHECK(files_in(folder) == 0);
}

TEST_CASE("gguf: a failed writing leaves the older file as it was", "[gguf]") {
  const TempDir folder;
  std::ofstream(folder / "m.gguf") << "older";
  GgufWriter writer;
  writer.add_tensor("t", DType::f32, {8}, [](const GgufWriter::Sink&) { throw BadFile("source: gone"); });
  CHECK_THROWS_WITH(writer.write(folder / "m.gguf"), Equals("source: gone"));
  CHECK(test::slurp_text(folder / "m.gguf") == "older");
  CHECK(files_in(folder) == 1);
}

TEST_CASE("output file: the target appears with the commit, whole", "[gguf]") {
  const TempDir folder;
  const Bytes data = numbered(100000);
  {
    OutputFile out(folder / "x");
    out.write(data);
    CHECK(out.position() == data.size());
    CHECK_FALSE(std::filesystem::exists(folder / "x"));
    out.commit();
    CHECK(std::filesystem::file_size(folder / "x") == data.size());
  }
  CHECK(files_in(folder) == 1);
  const auto permissions = std::filesystem::status(folder / "x").permissions();
  CHECK((permissions & std::filesystem::perms::owner_exec) == std::filesystem::perms::none);
}

TEST_CASE("output file: what is unfinished can be read, and leaves no trace", "[gguf]") {
  const TempDir folder;
  {
    OutputFile out(folder / "x");
    out.write(numbered(1000));
    CHECK(test::slurp(out.unfinished()).size() == 1000);
  }
  CHECK(files_in(folder) == 0);
}

TEST_CASE("output file: a target that is to be kept is kept, even if it comes late", "[gguf]") {
  const TempDir folder;
  std::ofstream(folder / "x") << "older";
  CHECK_THROWS_WITH(OutputFile(folder / "x", Existing::keep), Contains("x: is not replaced: File exists"));
  OutputFile out(folder / "late", Existing::keep);
  out.write(numbered(10));
  std::ofstream(folder / "late") << "older";
  CHECK_THROWS_WITH(out.commit(), Contains("late: at byte 10: is not replaced: File exists"));
  CHECK(test::slurp_text(folder / "late") == "older");
  OutputFile fresh(folder / "fresh", Existing::keep);
  fresh.write(numbered(10));
  fresh.commit();
  CHECK(std::filesystem::file_size(folder / "fresh") == 10);
}

TEST_CASE("mapped file: reading past a new, nearer end is an error, not a signal", "[gguf]") {
  const TempDir folder;
  std::ofstream(folder / "x") << std::string(100000, 'x');
  const MappedFile file = MappedFile::open(folder / "x");
  Bytes out(50000);
  file.read(50000, out);
  CHECK(out.back() == std::byte{'x'});
  std::filesystem::resize_file(folder / "x", 60000);
  CHECK_THROWS_WITH(file.read(50000, out), Contains("at byte 60000: ends here: it was cut short meanwhile"));
}

TEST_CASE("output file: failures name the target and the reason", "[gguf]") {
  const TempDir folder;
  CHECK_THROWS_WITH(OutputFile(folder / "none/x"), Contains("none/x: cannot be created: No such file or directory"));
  CHECK_THROWS_WITH(OutputFile(folder / std::string(300, 'x')), Contains("cannot be created: File name too long"));
  OutputFile out(folder / "taken");
  std::filesystem::create_directory(folder / "taken");
  CHECK_THROWS_WITH(out.commit(), Contains("taken: cannot be put in place"));
}

TEST_CASE("output file: neither a folder nor a device is replaced, and a link is followed", "[gguf]") {
  const TempDir folder;
  std::filesystem::create_directory(folder / "taken");
  CHECK_THROWS_WITH(OutputFile(folder / "taken"), Contains("taken: is not a regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(OutputFile(folder / "pipe"), Contains("pipe: is not a regular file"));
  CHECK(std::filesystem::is_fifo(folder / "pipe"));
  std::ofstream(folder / "taken" / "x") << "older";
  std::filesystem::create_symlink("taken/x", folder / "link");
  OutputFile out(folder / "link");
  out.write(numbered(10));
  out.commit();
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(std::filesystem::file_size(folder / "taken" / "x") == 10);
  CHECK(files_in(folder) == 3);
}

TEST_CASE("output file: two writers of one target do not meet", "[gguf]") {
  const TempDir folder;
  OutputFile first(folder / "x");
  OutputFile second(folder / "x");
  first.write(numbered(10));
  second.write(numbered(20));
  first.commit();
  CHECK(std::filesystem::file_size(folder / "x") == 10);
  second.commit();
  CHECK(std::filesystem::file_size(folder / "x") == 20);
  CHECK(files_in(folder) == 1);
}

}  // namespace
}  // namespace carat
