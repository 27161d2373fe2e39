#include "convert/safetensors.h"

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

std::vector<SafetensorsEntry> parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "x.safetensors");
}

std::string with(const std::string& tensor, std::size_t data = 24) {
  return test::safetensors_bytes("{\"a\":" + tensor + "}", std::string(data, 'x'));
}

test::Bytes sound() {
  const std::string text = test::safetensors_bytes(
      R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]}})",
      std::string(28, 'x'));
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Reads it or refuses it; anything else is a failure of the test.
void must_not_fail_otherwise(const test::Bytes& bytes) {
  try {
    for (const SafetensorsEntry& entry : parse_safetensors(bytes, "x")) {
      if (entry.offset + entry.bytes > bytes.size()) FAIL("leaves the file");
    }
  } catch (const BadFile&) {
  } catch (const Unsupported&) {
  }
}

TEST_CASE("safetensors: names, types, shapes and places are read", "[safetensors]") {
  const auto entries = parse_safetensors(sound(), "x");
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].name == "a");
  CHECK(entries[0].shape == std::vector<std::uint64_t>{2, 3});
  CHECK(entries[0].stored_as() == DType::f32);
  CHECK(entries[1].stored_as() == DType::bf16);
  CHECK(entries[1].offset == entries[0].offset + 24);
  CHECK(entries[1].bytes == 4);
}

TEST_CASE("safetensors: a directory that cannot be true is refused with the reason", "[safetensors]") {
  CHECK_THROWS_WITH(parse("short"), Contains("x.safetensors: at byte 0: needs 8 bytes"));
  CHECK_THROWS_WITH(parse(std::string(16, '\xFF')), Contains("more than the 8 bytes left"));
  CHECK_THROWS_WITH(parse(test::safetensors_bytes("", "")), Contains("is not a safetensors file"));
  CHECK_THROWS_WITH(parse(test::safetensors_bytes("[1]", "")), Contains("is not a safetensors file"));
  CHECK_THROWS_WITH(parse(test::safetensors_bytes("{\"a\":", "")), Contains("is not JSON"));
  CHECK_THROWS_WITH(parse(test::safetensors_bytes("{\"a\":1}", "")),
                    Contains("tensor 'a': is number, expected an object"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F3","shape":[6],"data_offsets":[0,24]})")),
                    Contains("dtype: 'F3' is not known"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F32","data_offsets":[0,24]})")), Contains("shape: is missing"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F32","shape":[-6],"data_offsets":[0,24]})")), Contains("no whole number"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})")),
                    Contains("larger than the file"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F32","shape":[6],"data_offsets":[0]})")), Contains("is not a pair"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F32","shape":[6],"data_offsets":[0,20]})")), Contains("room for 20 bytes"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F32","shape":[6],"data_offsets":[24,0]})")), Contains("does not lie"));
  CHECK_THROWS_WITH(parse(with(R"({"dtype":"F32","shape":[6],"data_offsets":[4,28]})")), Contains("cut short?"));
  CHECK_THROWS_WITH(
      parse(with(
          R"({"dtype":"F32","shape":[5],"data_offsets":[0,20]},"b":{"dtype":"F32","shape":[2],"data_offsets":[16,24]})")),
      Contains("tensor 'b': overlaps another"));
  CHECK_THROWS_WITH(
      parse(with(
          R"({"dtype":"F32","shape":[6],"data_offsets":[0,24]},"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]})")),
      Contains("key 'a': appears twice"));
  CHECK_THROWS_AS(parse(test::safetensors_bytes(std::string(5000, '{'), "")), BadFile);
  CHECK_THROWS_WITH(
      parse(test::safetensors_bytes("{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}", "")),
      Contains("deep"));
}

TEST_CASE("safetensors: every prefix, flip and extreme is read or refused", "[safetensors][robust]") {
  const test::Bytes whole = sound();
  test::for_each_prefix(whole, must_not_fail_otherwise);
  test::for_each_flip(whole, whole.size() - 28, must_not_fail_otherwise);
  test::for_each_extreme<std::uint64_t>(whole, whole.size() - 28, must_not_fail_otherwise);
  test::for_each_extreme<std::uint32_t>(whole, whole.size() - 28, must_not_fail_otherwise);
}

TEST_CASE("safetensors: an index names the shards, which are files of its folder", "[safetensors]") {
  const TempDir folder;
  const auto index = folder / "model.safetensors.index.json";
  test::write_file(index, R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"1.safetensors"}})");
  CHECK(safetensors_files(index) ==
        std::vector<std::filesystem::path>{folder / "1.safetensors", folder / "2.safetensors"});
  test::write_file(index, R"({"weight_map":{"a":"../1.safetensors"}})");
  CHECK_THROWS_WITH(safetensors_files(index), Contains("is not a file of this folder"));
  test::write_file(index, R"({"weight_map":{}})");
  CHECK_THROWS_WITH(safetensors_files(index), Contains("lists no file"));
  test::write_file(index, R"({})");
  CHECK_THROWS_WITH(safetensors_files(index), Contains("weight_map: is missing"));
}

TEST_CASE("safetensors: files of other people are read, and as models refused with a reason",
          "[safetensors][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  for (const auto& file : std::filesystem::directory_iterator(test::fixtures() / "safetensors_misc")) {
    if (file.path().extension() != ".safetensors") continue;
    INFO(file.path());
    const std::vector<char> bytes = test::slurp(file.path());
    CHECK_FALSE(parse_safetensors(std::as_bytes(std::span(bytes)), "x").empty());
    CHECK_THROWS_WITH(open_source(file.path()), Contains("config.json: is missing: tensors alone do not say"));
  }
}

}  // namespace
}  // namespace carat
