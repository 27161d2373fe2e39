#include "convert/compress.h"

#include <cmath>
#include <cstring>
#include <fstream>

#include "engine/error.h"
#include "engine/model.h"
#include "kernels/quant/codecs.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"
#include "test/support/tiny_model.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;
using Bytes = std::vector<std::byte>;

void write_tiny(const std::filesystem::path& path, const test::TinyShape& shape = {}) {
  test::TinyModelWriter(shape).writer().write(path);
}

CompressReport compress(const std::filesystem::path& from, const std::filesystem::path& to, std::string_view type,
                        CompressOptions options = {}) {
  ModelSource source = open_source(from);
  return compress_to_gguf(source, *find_file_type(type), to, options);
}

std::size_t files_in(const TempDir& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

Bytes bytes_of(const ModelFile& file, const std::string& name) {
  const FileTensor& tensor = file.need(name);
  return {tensor.bytes.begin(), tensor.bytes.end()};
}

TEST_CASE("compress: tensors are the reference quantiser's, type by type and byte by byte", "[compress][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const TempDir folder;
  for (const FileType& type : file_types()) {
    // Those of tiny-gemma3 are another quantiser's, ik_llama.cpp: with fused arithmetic and mixtures of its own.
    const auto reference = test::fixtures() / "tiny" / ("tiny-llama-" + std::string(type.model) + ".gguf");
    if (!std::filesystem::exists(reference)) continue;
    INFO(reference);
    const auto out = folder / std::string(type.name);
    compress(test::fixtures() / "tiny" / "tiny-llama-f16.gguf", out, type.name, {.threads = 2, .verify = true});
    const ModelFile found = open_model_file(out), expected = open_model_file(reference);
    REQUIRE(found.tensors().size() == expected.tensors().size());
    for (const FileTensor& tensor : expected.tensors()) {
      INFO(tensor.name);
      CHECK(found.need(tensor.name).dtype == tensor.dtype);
      CHECK(found.need(tensor.name).dims == tensor.dims);
      CHECK((bytes_of(found, tensor.name) == Bytes(tensor.bytes.begin(), tensor.bytes.end())));
    }
    CHECK(found.metadata().count("general.file_type", 0, 100) == type.gguf);
    CHECK(found.metadata().count("general.quantization_version", 0, 100) == 2);
  }
}

TEST_CASE("compress: the reference's input becomes its q4_0 and q8_0 blocks", "[compress][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const std::string type = GENERATE("q4_0", "q8_0");
  const std::vector<char> input = test::slurp(test::fixtures() / "quants" / "input.f32");
  const TempDir folder;
  GgufWriter writer;
  writer.set("general.architecture", std::string_view("llama"));
  writer.add_tensor("blk.0.attn_q.weight", DType::f32, {512, 16}, std::as_bytes(std::span(input)));
  writer.write(folder / "in.gguf");
  compress(folder / "in.gguf", folder / "out.gguf", type);
  const std::vector<char> expected = test::slurp(test::fixtures() / "quants" / (type + ".bin"));
  const Bytes found = bytes_of(open_model_file(folder / "out.gguf"), "blk.0.attn_q.weight");
  REQUIRE(found.size() == expected.size());
  CHECK(std::memcmp(found.data(), expected.data(), found.size()) == 0);
}

TEST_CASE("compress: the bytes are the same for any number of threads and any instruction set", "[compress]") {
  const TempDir folder;
  write_tiny(folder / "in.gguf", {.width = 256, .hidden = 512, .heads = 4, .head_dim = 64, .vocabulary = 700});
  compress(folder / "in.gguf", folder / "one.gguf", "q4_k_m");
  const std::vector<char> one = test::slurp(folder / "one.gguf");
  for (const std::size_t threads : {2, 5}) {
    for (const char* isa : {"", "baseline", "reference"}) {
      compress(folder / "in.gguf", folder / "more.gguf", "q4_k_m",
               {.threads = threads, .isa = isa, .existing = Existing::replace});
      CHECK((test::slurp(folder / "more.gguf") == one));
    }
  }
}

TEST_CASE("compress: what has its type already is copied, whatever its bytes", "[compress]") {
  const TempDir folder;
  write_tiny(folder / "in.gguf", {.dtype = DType::q8_0});
  const CompressReport report = compress(folder / "in.gguf", folder / "out.gguf", "q8_0");
  const ModelFile in = open_model_file(folder / "in.gguf"), out = open_model_file(folder / "out.gguf");
  for (const FileTensor& tensor : in.tensors()) CHECK((bytes_of(out, tensor.name) == bytes_of(in, tensor.name)));
  CHECK(report.total().distortion.misses == 0);
}

TEST_CASE("compress: the report adds up", "[compress]") {
  const TempDir folder;
  write_tiny(folder / "in.gguf");
  std::vector<std::uint64_t> steps;
  CompressOptions options{.progress = [&](std::uint64_t done) { steps.push_back(done); }};
  const CompressReport report = compress(folder / "in.gguf", folder / "out.gguf", "q4_0", options);
  const TensorGroup total = report.total();
  ModelSource source = open_source(folder / "in.gguf");
  const std::uint64_t source_size = source_bytes(plan_gguf(source, *find_file_type("q4_0")));
  CHECK(total.tensors == source.tensors.size());
  CHECK(total.bytes_before == source_size);
  CHECK(report.file_bytes == std::filesystem::file_size(folder / "out.gguf"));
  CHECK(steps.back() == source_size);
  CHECK(std::ranges::is_sorted(steps));
  const auto group = std::ranges::find(report.groups, "blk.*.ffn_down.weight", &TensorGroup::name);
  REQUIRE(group != report.groups.end());
  CHECK(group->type == DType::q4_0);
  CHECK(group->tensors == 2);
  CHECK(group->bytes_before == 2 * 96 * 64 * 2);
  CHECK(group->bytes_after == 2 * 96 * 64 / 32 * 18);
  CHECK(group->distortion.relative() == Approx(0.08).margin(0.03));
  CHECK(group->distortion.worst > group->distortion.rms());
}

TEST_CASE("compress: a value that is not finite is refused, with its tensor and place", "[compress]") {
  const float value = GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  const std::string type = GENERATE("f32", "f16", "q4_0", "q4_k_m");
  const TempDir folder;
  std::vector<float> values(256 * 300, 0.5f);
  values[256 * 271 + 7] = value;
  GgufWriter writer;
  writer.set("general.architecture", std::string_view("llama"));
  writer.add_tensor("blk.0.attn_q.weight", DType::f32, {256, 300}, std::as_bytes(std::span(values)));
  writer.write(folder / "in.gguf");
  CHECK_THROWS_WITH(
      compress(folder / "in.gguf", folder / "out.gguf", type, {.threads = 3}),
      Contains("tensor 'blk.0.attn_q.weight': row 271, column 7: ") && Contains("is not a finite number"));
  CHECK(files_in(folder) == 1);
}

TEST_CASE("compress: a value that the type cannot hold is refused, one that it can is not", "[compress]") {
  const TempDir folder;
  std::vector<float> values(64 * 2, 1e30f);
  GgufWriter writer;
  writer.set("general.architecture", std::string_view("llama"));
  writer.add_tensor("blk.0.attn_q.weight", DType::f32, {64, 2}, std::as_bytes(std::span(values)));
  writer.write(folder / "in.gguf");
  for (const char* type : {"f16", "q8_0", "q4_0"})
    CHECK_THROWS_WITH(compress(folder / "in.gguf", folder / "out.gguf", type),
                      Contains("too large for " + std::string(type)));
  CHECK_NOTHROW(compress(folder / "in.gguf", folder / "out.gguf", "bf16"));
  CHECK_NOTHROW(compress(folder / "in.gguf", folder / "out32.gguf", "f32"));
}

TEST_CASE("compress: a target is replaced only when that is asked for", "[compress]") {
  const TempDir folder;
  write_tiny(folder / "in.gguf");
  std::ofstream(folder / "out.gguf") << "older";
  CHECK_THROWS_WITH(compress(folder / "in.gguf", folder / "out.gguf", "q8_0"), Contains("is not replaced"));
  CHECK(test::slurp_text(folder / "out.gguf") == "older");
  compress(folder / "in.gguf", folder / "out.gguf", "q8_0", {.existing = Existing::replace});
  CHECK(open_model_file(folder / "out.gguf").tensors().size() > 10);
  compress(folder / "in.gguf", folder / "in.gguf", "q4_0", {.existing = Existing::replace});  // onto itself
  CHECK(open_model_file(folder / "in.gguf").need("blk.0.attn_q.weight").dtype == DType::q4_0);
  CHECK(files_in(folder) == 2);
}

TEST_CASE("compress: a request to stop leaves nothing behind", "[compress]") {
  const TempDir folder;
  write_tiny(folder / "in.gguf");
  std::stop_source stop;
  const auto stop_at_first = [&](std::uint64_t) { stop.request_stop(); };
  CHECK_THROWS_AS(
      compress(folder / "in.gguf", folder / "out.gguf", "q8_0", {.stop = stop.get_token(), .progress = stop_at_first}),
      Cancelled);
  CHECK(files_in(folder) == 1);
}

TEST_CASE("compress: an input that is cut short while it is read is an error", "[compress]") {
  const TempDir folder;
  write_tiny(folder / "in.gguf");
  ModelSource source = open_source(folder / "in.gguf");
  std::filesystem::resize_file(folder / "in.gguf", std::filesystem::file_size(folder / "in.gguf") / 2);
  CHECK_THROWS_WITH(compress_to_gguf(source, *find_file_type("q8_0"), folder / "out.gguf", {.threads = 2}),
                    Contains("in.gguf: at byte") && Contains("it was cut short meanwhile"));
  CHECK(files_in(folder) == 1);
}

TEST_CASE("compress: an instruction set that the machine lacks is refused", "[compress]") {
  const TempDir folder;
  write_tiny(folder / "in.gguf");
  CHECK_THROWS_AS(compress(folder / "in.gguf", folder / "out.gguf", "q8_0", {.isa = "none"}), NoResource);
}

TEST_CASE("policy: names are found in any case, and fall-backs fit the rows", "[compress]") {
  CHECK(find_file_type("Q4_K_M")->gguf == 15);
  CHECK(find_file_type("q4_k_x") == nullptr);
  const TempDir folder;
  write_tiny(folder / "in.gguf", {.width = 96, .hidden = 80, .heads = 3, .kv_heads = 1, .head_dim = 32});
  compress(folder / "in.gguf", folder / "out.gguf", "q4_k_m");
  const ModelFile out = open_model_file(folder / "out.gguf");
  CHECK(out.need("blk.0.attn_q.weight").dtype == DType::q5_0);   // rows of 96
  CHECK(out.need("blk.0.ffn_down.weight").dtype == DType::f16);  // rows of 80
  CHECK(out.need("token_embd.weight").dtype == DType::q8_0);     // also the output
  CHECK(out.need("blk.0.attn_norm.weight").dtype == DType::f32);
}

}  // namespace
}  // namespace carat
