#include <cmath>

#include "convert/compress.h"
#include "convert/migrate.h"
#include "engine/error.h"
#include "engine/file/sbs_contents.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"
#include "test/support/tiny_model.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;

// Calls f with the contents of an .sbs file.
template <class F>
void with_contents(const std::filesystem::path& path, F f) {
  const MappedFile file = MappedFile::open(path);
  f(read_sbs_contents(file.bytes(), path.string()));
}

void check_same_tensors(const std::filesystem::path& found, const std::filesystem::path& expected) {
  with_contents(found, [&](const SbsContents& a) {
    with_contents(expected, [&](const SbsContents& b) {
      REQUIRE(a.tensors.size() == b.tensors.size());
      for (const SbsContents::Item& item : b.tensors) {
        INFO(item.tensor.name);
        const auto at =
            std::ranges::find_if(a.tensors, [&](const auto& i) { return i.tensor.name == item.tensor.name; });
        REQUIRE(at != a.tensors.end());
        CHECK(at->tensor.type == item.tensor.type);
        CHECK(at->tensor.rows == item.tensor.rows);
        CHECK(at->tensor.scale == item.tensor.scale);
        CHECK(std::ranges::equal(at->bytes, item.bytes));
      }
      CHECK(a.tokenizer == b.tokenizer);
    });
  });
}

TEST_CASE("sbs: a raw dump becomes the tensors of gemma.cpp's files, byte for byte", "[compress][sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const std::string type = GENERATE("f32", "bf16", "sfp");
  const auto sbs = test::fixtures() / "sbs";
  const auto like = sbs / ("tiny2-" + type + ".sbs");
  const TempDir folder;
  const ModelSource source = open_source(sbs / "tiny2.raw", {.config = like});
  compress_to_sbs(source, type, folder / "out.sbs", {.threads = 2, .verify = true});
  check_same_tensors(folder / "out.sbs", like);
  CHECK((test::slurp(folder / "out.sbs") == test::slurp(like)));
}

TEST_CASE("sbs: float32 files become those of the other types, byte for byte", "[compress][sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const std::string model = GENERATE("tiny2", "tiny3");
  const std::string type = GENERATE("f32", "bf16", "sfp");
  const auto sbs = test::fixtures() / "sbs";
  const TempDir folder;
  compress_to_sbs(open_source(sbs / (model + "-f32.sbs")), type, folder / "out.sbs", {.threads = 2});
  CHECK((test::slurp(folder / "out.sbs") == test::slurp(sbs / (model + "-" + type + ".sbs"))));
}

TEST_CASE("sbs: float32 files become i8, byte for byte, but for the embedding in sfp", "[compress][sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto sbs = test::fixtures() / "sbs";
  const TempDir folder;
  compress_to_sbs(open_source(sbs / "tiny3-f32.sbs"), "i8", folder / "out.sbs", {.threads = 2, .verify = true});
  check_same_tensors(folder / "out.sbs", sbs / "tiny3-i8.sbs");
}

TEST_CASE("sbs: the report counts what the source has, however it is stacked", "[compress][sbs]") {
  const TempDir folder;
  const DType dtype = GENERATE(DType::f16, DType::q8_0, DType::f32);
  test::TinyModelWriter({.architecture = "gemma2", .dtype = dtype}).writer().write(folder / "a.gguf");
  const ModelSource source = open_source(folder / "a.gguf");
  std::uint64_t expected = 0, last = 0;
  for (const SourceTensor& tensor : source.tensors) expected += tensor.bytes();
  const CompressReport report =
      compress_to_sbs(source, "sfp", folder / "b.sbs", {.progress = [&](std::uint64_t done) { last = done; }});
  CHECK(report.total().bytes_before == expected);
  CHECK(last == expected);
}

TEST_CASE("sbs: groups of i8 and nuq run on from row to row, and read back near what they were", "[compress][sbs]") {
  const std::string type = GENERATE("i8", "nuq");
  const TempDir folder;
  test::TinyModelWriter({.architecture = "gemma3", .width = 72, .hidden = 1000, .dtype = DType::f32})
      .writer()
      .write(folder / "a.gguf");
  const ModelSource source = open_source(folder / "a.gguf");
  const CompressReport report = compress_to_sbs(source, type, folder / "b.sbs", {.threads = 3, .verify = true});
  CHECK(report.total().distortion.relative() < (type == "i8" ? 0.02 : 0.1));
  const ModelSource back = open_source(folder / "b.sbs");
  for (const SourceTensor& tensor : source.tensors) {
    INFO(tensor.name);
    const SourceTensor* const other = back.find(tensor.name);
    REQUIRE(other != nullptr);
    REQUIRE(other->dims == tensor.dims);
    std::vector<float> x(tensor.rows() * tensor.cols()), y(x.size());
    tensor.read(0, tensor.rows(), x.data());
    other->read(0, tensor.rows(), y.data());
    double squares = 0, misses = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      squares += static_cast<double>(x[i] * x[i]);
      misses += static_cast<double>((x[i] - y[i]) * (x[i] - y[i]));
    }
    const bool in_sfp = tensor.name == "token_embd.weight";
    CHECK(std::sqrt(misses / squares) < (in_sfp ? 0.03 : type == "i8" ? 0.01 : 0.1));
  }
}

TEST_CASE("sbs: a matrix beyond the range of sfp gets a factor, and its error counts in its own units",
          "[compress][sbs]") {
  const TempDir folder;
  test::TinyModelWriter tiny({.architecture = "gemma2", .dtype = DType::f32});
  std::vector<float> large(96 * 64, 0.5f);
  large[5] = 30;
  tiny.writer().write(folder / "a.gguf");
  ModelSource source = open_source(folder / "a.gguf");
  for (SourceTensor& tensor : source.tensors)
    if (tensor.name == "blk.0.ffn_down.weight") tensor = made_tensor(source, tensor.name, tensor.dims, large);
  const CompressReport report = compress_to_sbs(source, "sfp", folder / "b.sbs", {});
  with_contents(folder / "b.sbs", [](const SbsContents& contents) {
    for (const SbsContents::Item& item : contents.tensors)
      CHECK(item.tensor.scale == (item.tensor.name == "linear_w_0" ? 16 : 1));
  });
  const auto group = std::ranges::find(report.groups, "linear_w_*", &TensorGroup::name);
  CHECK(group->distortion.worst < 30.0 / 16);
  CHECK(group->distortion.relative() < 0.1);
  const ModelSource back = open_source(folder / "b.sbs");
  std::vector<float> row(96);
  back.find("blk.0.ffn_down.weight")->read(0, 1, row.data());
  CHECK(row[5] == 30);
}

TEST_CASE("migrate: the tensors stay byte for byte, the tokenizer comes inside", "[migrate][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const std::string name = GENERATE("tiny2-sfp.sbs", "tiny3-bf16.sbs", "tiny3-i8.sbs");
  const auto sbs = test::fixtures() / "sbs";
  const TempDir folder;
  migrate(sbs / name, "", folder / "inside.sbs", Existing::keep);
  check_same_tensors(folder / "inside.sbs", sbs / name);
  migrate(sbs / name, sbs / "tiny512.model", folder / "out.sbs", Existing::keep);
  with_contents(folder / "out.sbs", [&](const SbsContents& contents) {
    CHECK(contents.tokenizer == test::slurp_text(sbs / "tiny512.model"));
  });
  CHECK_THROWS_WITH(migrate(sbs / name, "", folder / "out.sbs", Existing::keep), Contains("is not replaced"));
  CHECK_THROWS_AS(migrate(sbs / name, sbs / name, folder / "new.sbs", Existing::keep), Error);
  CHECK_FALSE(std::filesystem::exists(folder / "new.sbs"));
}

}  // namespace
}  // namespace carat
