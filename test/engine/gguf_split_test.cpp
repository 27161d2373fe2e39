#include <catch2/catch.hpp>
#include <fstream>

#include "engine/file/gguf.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;

const char* const kNames[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"};

// What a part says about itself, and the tensors it holds.
struct Part {
  std::uint16_t number;
  std::uint16_t count = 3;
  std::vector<std::string> tensors;
  std::int32_t total = 4;
};

void write_part(const std::filesystem::path& path, const Part& part) {
  GgufWriter writer;
  if (part.number == 0) writer.set("general.architecture", std::string_view("llama"));
  writer.set("split.no", part.number);
  writer.set("split.count", part.count);
  writer.set("split.tensors.count", part.total);
  const std::vector<std::byte> data(32, static_cast<std::byte>(part.number));
  for (const std::string& name : part.tensors) writer.add_tensor(name, DType::f32, {8}, data);
  writer.write(path);
}

// Three parts; the first has no tensors, as llama.cpp's --no-tensor-first-split makes it.
void write_set(const TempDir& folder) {
  write_part(folder / kNames[0], {.number = 0, .tensors = {}});
  write_part(folder / kNames[1], {.number = 1, .tensors = {"a", "b"}});
  write_part(folder / kNames[2], {.number = 2, .tensors = {"c", "d"}});
}

TEST_CASE("split: any part opens the whole set", "[gguf][split]") {
  const TempDir folder;
  write_set(folder);
  const auto given = GENERATE(0, 1, 2);
  const bool copies = GENERATE(false, true);
  const ModelFile file = open_model_file(folder / kNames[given], {.copies = copies, .locks = false});
  CHECK(file.path() == (folder / kNames[0]).string());
  CHECK(file.part_count() == 3);
  CHECK(file.lies_in_memory() == copies);
  CHECK(file.metadata().text("general.architecture") == "llama");
  REQUIRE(file.tensors().size() == 4);
  CHECK(file.tensors()[2].name == "c");
  CHECK(file.need("b").bytes[31] == std::byte{1});
  CHECK(file.need("d").bytes[0] == std::byte{2});
  std::uint64_t size = 0;
  for (const char* name : kNames) size += std::filesystem::file_size(folder / name);
  CHECK(file.byte_count() == size);
}

TEST_CASE("split: a missing part is named", "[gguf][split]") {
  const TempDir folder;
  write_set(folder);
  const auto [missing, given] = GENERATE(std::pair{0, 1}, std::pair{1, 0}, std::pair{2, 0});
  std::filesystem::remove(folder / kNames[missing]);
  CHECK_THROWS_AS(open_model_file(folder / kNames[given]), BadFile);
  CHECK_THROWS_WITH(
      open_model_file(folder / kNames[given]),
      Contains(std::string(kNames[missing]) + ": is missing, part " + std::to_string(missing + 1) + " of 3"));
}

TEST_CASE("split: a renamed part says which name it needs", "[gguf][split]") {
  const TempDir folder;
  write_set(folder);
  std::filesystem::rename(folder / kNames[1], folder / "model.gguf");
  CHECK_THROWS_WITH(open_model_file(folder / "model.gguf"),
                    Contains("model.gguf: is part 2 of 3, whose name must end in '-00002-of-00003.gguf'"));
}

TEST_CASE("split: parts of another set are refused", "[gguf][split]") {
  const TempDir folder;
  write_set(folder);
  SECTION("another number") {
    std::filesystem::copy(folder / kNames[1], folder / kNames[2], std::filesystem::copy_options::overwrite_existing);
    CHECK_THROWS_WITH(open_model_file(folder / kNames[0]),
                      Contains("m-00003-of-00003.gguf: is part 2 of 3, expected part 3 of 3"));
  }
  SECTION("another count") {
    write_part(folder / kNames[2], {.number = 2, .count = 4, .tensors = {"c", "d"}});
    CHECK_THROWS_WITH(open_model_file(folder / kNames[0]), Contains("is part 3 of 4, expected part 3 of 3"));
  }
  SECTION("a number beyond the count") {
    write_part(folder / kNames[2], {.number = 3, .tensors = {"c", "d"}});
    CHECK_THROWS_WITH(open_model_file(folder / kNames[0]), Contains("key 'split.no': is 3 (u16)"));
  }
  SECTION("a tensor too few") {
    write_part(folder / kNames[2], {.number = 2, .tensors = {"c"}});
    CHECK_THROWS_WITH(open_model_file(folder / kNames[0]), Contains("the parts hold 3 tensors, expected 4"));
  }
  SECTION("a tensor twice") {
    write_part(folder / kNames[2], {.number = 2, .tensors = {"c", "a"}});
    CHECK_THROWS_WITH(open_model_file(folder / kNames[0]), Contains("tensor 'a': appears twice"));
  }
  SECTION("a whole model in place of a part") {
    GgufWriter writer;
    writer.set("general.architecture", std::string_view("llama"));
    writer.write(folder / kNames[2]);
    CHECK_THROWS_WITH(open_model_file(folder / kNames[0]),
                      Contains("00003-of-00003.gguf: key 'split.count': is missing"));
  }
}

TEST_CASE("split: a count beyond reason is refused before any part is looked for", "[gguf][split]") {
  const TempDir folder;
  write_part(folder / "m-00001-of-65535.gguf", {.number = 0, .count = 65535, .tensors = {}});
  CHECK_THROWS_WITH(open_model_file(folder / "m-00001-of-65535.gguf"), Contains("key 'split.count': is 65535"));
}

TEST_CASE("split: a part in memory cannot find the others", "[gguf][split]") {
  const TempDir folder;
  write_set(folder);
  const std::vector<char> bytes = test::slurp(folder / kNames[0]);
  CHECK_THROWS_WITH(parse_gguf(std::as_bytes(std::span(bytes)), "m"), Contains("m: is one of 3 parts"));
}

}  // namespace
}  // namespace carat
