// What is written is what gemma.cpp writes, and what is read back is what was there.
#include <algorithm>
#include <map>
#include <stdexcept>

#include "engine/error.h"
#include "engine/file/sbs_contents.h"
#include "kernels/quant/codecs.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/tiny_sbs.h"

namespace carat {
namespace {

std::vector<std::byte> slurp_bytes(const std::filesystem::path& path) {
  const std::vector<char> chars = test::slurp(path);
  const auto bytes = std::as_bytes(std::span(chars));
  return {bytes.begin(), bytes.end()};
}

// The values of a canonical tensor, as a matrix.
struct Values {
  std::size_t cols = 0;
  std::vector<float> items;
};
Values values_of(const FileTensor& tensor) {
  const Tensor matrix = as_matrix(tensor);
  Values values{matrix.cols, std::vector<float>(matrix.rows * matrix.cols)};
  dequantize_row(matrix.dtype, matrix.where, values.items.data(), values.items.size());
  for (float& item : values.items) item *= matrix.scale;
  return values;
}

// The pieces of a plan as f32, one below the other.
std::vector<std::byte> stacked(const SbsTensorPlan& plan, const std::map<std::string, Values>& tensors) {
  std::vector<float> out;
  for (const SbsPiece& piece : plan.pieces) {
    const Values& from = tensors.at(piece.tensor);
    for (std::size_t r = piece.first_row; r < piece.first_row + piece.rows; ++r)
      for (std::size_t i = 0; i < plan.cols; ++i) out.push_back(from.items[r * from.cols + piece.first_col + i]);
  }
  if (plan.subtract_one)
    for (float& value : out) value -= 1;
  const auto bytes = std::as_bytes(std::span(out));
  return {bytes.begin(), bytes.end()};
}

// The whole way: file -> canonical tensors and configuration -> file, in f32.
struct Rewritten {
  std::vector<std::vector<std::byte>> kept;
  std::vector<std::byte> bytes;
};
Rewritten rewritten(const ModelFile& file) {
  ModelConfig config = read_config(file);
  config.vocabulary = as_matrix(file.need("token_embd.weight")).rows;
  std::map<std::string, Values> tensors;
  for (const FileTensor& tensor : file.tensors()) tensors.emplace(tensor.name, values_of(tensor));
  Rewritten out;
  SbsWriter writer(sbs_config_from(config, file.metadata(), "f"));
  const std::vector<SbsTensorPlan> plans = sbs_plan(config);
  out.kept.reserve(plans.size());
  for (const SbsTensorPlan& plan : plans) {
    out.kept.push_back(stacked(plan, tensors));
    writer.add_tensor({plan.name, SbsType::f32, plan.rows, plan.cols, 1}, out.kept.back());
  }
  writer.set_tokenizer(file.metadata().text(kSentencePieceKey));
  out.bytes = test::bytes_of(writer);
  return out;
}

TEST_CASE("sbs: the fixtures are written again byte for byte from what they hold", "[sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  for (const auto& entry : std::filesystem::directory_iterator(test::fixtures() / "sbs")) {
    if (entry.path().extension() != ".sbs") continue;
    INFO(entry.path());
    const std::vector<std::byte> bytes = slurp_bytes(entry.path());
    const SbsContents contents = read_sbs_contents(bytes, "f");
    if (contents.config.weight == SbsType::i8) continue;  // names i8, although its first small tensor is sfp
    SbsWriter writer(contents.config);
    for (const auto& item : contents.tensors) writer.add_tensor(item.tensor, item.bytes);
    writer.set_tokenizer(contents.tokenizer);
    CHECK(test::bytes_of(writer) == bytes);
  }
}

// The sum of a gain and 1 is rounded, and so is what comes back: those tensors are equal to within half a step of 1.
TEST_CASE("sbs: through canonical tensors and back, a file keeps its configuration and its matrices",
          "[sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  for (const char* name : {"tiny2-f32", "tiny3-f32"}) {
    INFO(name);
    const std::vector<std::byte> bytes = slurp_bytes(test::fixtures() / "sbs" / (std::string(name) + ".sbs"));
    const Rewritten again = rewritten(parse_sbs(bytes, "f"));
    const SbsContents before = read_sbs_contents(bytes, "f"), after = read_sbs_contents(again.bytes, "f");
    CHECK(serialise(after.config) == serialise(before.config));
    CHECK(after.tokenizer == before.tokenizer);
    std::map<std::string, const SbsContents::Item*> by_name;
    for (const auto& item : before.tensors) by_name.emplace(item.tensor.name, &item);
    std::size_t equal = 0;
    for (const auto& item : after.tensors) {
      INFO(item.tensor.name);
      const auto& old = *by_name.at(item.tensor.name);
      CHECK(item.tensor.rows == old.tensor.rows);
      CHECK(item.tensor.cols == old.tensor.cols);
      if (item.tensor.rows > 1) CHECK(std::ranges::equal(item.bytes, old.bytes));
      equal += std::ranges::equal(item.bytes, old.bytes);
    }
    CHECK(equal >= 4 * before.config.num_layers + 1);
  }
}

TEST_CASE("sbs: every element of every canonical tensor is in exactly one matrix", "[sbs]") {
  for (const bool gemma3 : {false, true}) {
    const ModelConfig shape = test::tiny_sbs_shape(gemma3);
    std::map<std::string, std::map<std::pair<std::size_t, std::size_t>, int>> seen;
    for (const SbsTensorPlan& plan : sbs_plan(shape)) {
      std::size_t rows = 0;
      for (const SbsPiece& piece : plan.pieces) {
        rows += piece.rows;
        for (std::size_t r = 0; r < piece.rows; ++r)
          for (std::size_t i = 0; i < plan.cols; ++i) ++seen[piece.tensor][{piece.first_row + r, piece.first_col + i}];
      }
      CHECK(rows == plan.rows);
    }
    CHECK(seen.size() == (gemma3 ? 15u : 13u));
    CHECK(seen.at("blk.0.attn_output.weight").size() == 8 * 16);
    CHECK(seen.at("blk.0.attn_k.weight").size() == 8 * 8);
    for (const auto& [name, cells] : seen)
      for (const auto& [cell, times] : cells) CHECK(times == 1);
  }
}

TEST_CASE("sbs: a source that hands over too little is a fault of ours, not a file", "[sbs]") {
  SbsWriter writer(test::tiny_sbs_config());
  writer.add_tensor({"t", SbsType::sfp, 2, 3, 1}, [](const SbsWriter::Sink& sink) { sink(std::vector<std::byte>(5)); });
  CHECK_THROWS_AS(test::bytes_of(writer), std::logic_error);
}

TEST_CASE("sbs: a configuration says what gemma.cpp can, and nothing else", "[sbs]") {
  ModelConfig config = test::tiny_sbs_shape();
  config.context = 32;
  config.rope_dim = 4;
  config.ropes = {{1e6, 1}, {1e4, 1}};
  config.layers = {{6, 1}};
  const Metadata none("f");
  CHECK(sbs_config_from(config, none, "f").model == SbsModel::gemma3_1b);
  config.ropes[0].factor = 8;
  CHECK(sbs_config_from(config, none, "f").model == SbsModel::gemma3_4b);
  config.ropes[0].factor = 2;
  CHECK_THROWS_WITH(sbs_config_from(config, none, "f"), Catch::Contains("f: an .sbs file cannot say that positions"));
  config.ropes = {{1e5, 1}, {1e4, 1}};
  CHECK_THROWS_AS(sbs_config_from(config, none, "f"), Unsupported);
  config.architecture = "llama";
  CHECK_THROWS_WITH(sbs_config_from(config, none, "f"), Catch::Contains("of the family llama"));
}

TEST_CASE("gguf: a type that GGUF does not have is not found by any id", "[gguf]") {
  for (std::uint32_t id = 0; id < 500; ++id) CHECK(dtype_from_gguf(id) != DType::sfp);
  CHECK(dtype_from_sbs(3) == DType::sfp);
  CHECK_FALSE(dtype_from_sbs(4).has_value());
}

}  // namespace
}  // namespace carat
