#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>

#include "convert/compress.h"
#include "convert/migrate.h"
#include "convert/sentencepiece.h"
#include "engine/error.h"
#include "engine/file/sbs_contents.h"
#include "engine/model_config.h"
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
  with_contents(folder / "out.sbs", [&](const SbsContents& a) {
    with_contents(like, [&](const SbsContents& b) {
      CHECK(a.config.layer_configs == b.config.layer_configs);
      CHECK(a.config.attention_window_sizes == b.config.attention_window_sizes);
      CHECK(a.config.weight == b.config.weight);
      CHECK(a.config.max_seq_len == b.config.max_seq_len);
    });
  });
}

TEST_CASE("sbs: float32 files become those of bf16 and sfp, matrix by matrix", "[compress][sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const std::string model = GENERATE("tiny2", "tiny3");
  const std::string type = GENERATE("bf16", "sfp");
  const auto sbs = test::fixtures() / "sbs";
  const TempDir folder;
  compress_to_sbs(open_source(sbs / (model + "-f32.sbs")), type, folder / "out.sbs", {.threads = 2});
  with_contents(folder / "out.sbs", [&](const SbsContents& a) {
    with_contents(sbs / (model + "-" + type + ".sbs"), [&](const SbsContents& b) {
      for (const SbsContents::Item& item : b.tensors) {
        if (item.tensor.rows == 1) continue;  // gains went through 1 + gain
        INFO(item.tensor.name);
        const auto at =
            std::ranges::find_if(a.tensors, [&](const auto& i) { return i.tensor.name == item.tensor.name; });
        REQUIRE(at != a.tensors.end());
        CHECK(std::ranges::equal(at->bytes, item.bytes));
      }
    });
  });
}

TEST_CASE("sbs: GGUF to .sbs and back keeps configuration and float32 tensors", "[compress][sbs]") {
  const std::string architecture = GENERATE("gemma2", "gemma3");
  const TempDir folder;
  test::TinyModelWriter tiny({.architecture = architecture, .layers = 6, .dtype = DType::f32});
  tiny.writer().set("tokenizer.ggml.model", std::string_view("llama"));
  std::vector<std::string> texts(80);
  for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = "t" + std::to_string(i);
  tiny.writer().set_array("tokenizer.ggml.tokens", std::vector<std::string_view>(texts.begin(), texts.end()));
  tiny.writer().set_array("tokenizer.ggml.scores", std::vector<float>(80, -1));
  tiny.writer().set_array("tokenizer.ggml.token_type", std::vector<std::int32_t>(80, 1));
  tiny.writer().write(folder / "a.gguf");
  compress_to_sbs(open_source(folder / "a.gguf"), "f32", folder / "b.sbs", {.verify = true});
  ModelSource back = open_source(folder / "b.sbs");
  CHECK(back.format == "sbs");
  compress_to_gguf(back, *find_file_type("f32"), folder / "c.gguf", {.verify = true});

  const ModelFile a = open_model_file(folder / "a.gguf"), c = open_model_file(folder / "c.gguf");
  const ModelConfig before = read_config(a), after = read_config(c);
  CHECK(after.architecture == before.architecture);
  CHECK(after.layers.size() == before.layers.size());
  CHECK(after.heads == before.heads);
  CHECK(after.kv_heads == before.kv_heads);
  CHECK(after.head_dim == before.head_dim);
  CHECK(after.hidden == before.hidden);
  CHECK(after.context == before.context);
  CHECK(after.attention_cap == before.attention_cap);
  CHECK(after.logit_cap == before.logit_cap);
  for (std::size_t i = 0; i < before.layers.size(); ++i) CHECK(after.layers[i].window == before.layers[i].window);
  CHECK(c.metadata().texts("tokenizer.ggml.tokens") == a.metadata().texts("tokenizer.ggml.tokens"));
  CHECK(c.tensors().size() == a.tensors().size());
  for (const FileTensor& tensor : a.tensors()) {
    INFO(tensor.name);
    CHECK(c.need(tensor.name).dims == tensor.dims);
    if (tensor.name.ends_with("_norm.weight")) {
      std::vector<float> x(tensor.dims[0]), y(tensor.dims[0]);
      std::memcpy(x.data(), tensor.bytes.data(), tensor.bytes.size());
      std::memcpy(y.data(), c.need(tensor.name).bytes.data(), tensor.bytes.size());
      for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == Approx(x[i]).epsilon(1e-6));
    } else {
      CHECK(std::ranges::equal(c.need(tensor.name).bytes, tensor.bytes));
    }
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

TEST_CASE("raw dump: a line or a matrix that is cut short is refused", "[compress][sbs]") {
  const TempDir folder;
  const auto write = [&](const std::string& bytes) { std::ofstream(folder / "x.raw", std::ios::binary) << bytes; };
  const std::string tensor = "c_embedding 2 4\n" + std::string(32, '\0');
  write(tensor);
  CHECK_THROWS_WITH(open_source(folder / "x.raw"), Contains("has no configuration"));
  write(tensor.substr(0, 40));
  CHECK_THROWS_WITH(open_source(folder / "x.raw"), Contains("larger than the rest of the file"));
  write(tensor + "c_final_norm 1\n");
  CHECK_THROWS_WITH(open_source(folder / "x.raw"), Contains("expected a line 'name rows cols'"));
  write(tensor + tensor);
  CHECK_THROWS_WITH(open_source(folder / "x.raw"), Contains("appears twice"));
  write("c_embedding 4294967296 4294967296\n");
  CHECK_THROWS_WITH(open_source(folder / "x.raw"), Contains("larger than the rest of the file"));
}

}  // namespace
}  // namespace carat
