// What cannot become an `.sbs` file, or a new one, is refused: a file that is another model is worse than none.
#include <fstream>
#include <limits>

#include "convert/compress.h"
#include "convert/migrate.h"
#include "engine/error.h"
#include "engine/file/sbs_metadata.h"
#include "engine/file/sbs_models.h"
#include "engine/file/sbs_unpack.h"
#include "engine/model_config.h"
#include "test/support/catch.h"
#include "test/support/temp_dir.h"
#include "test/support/tiny_model.h"
#include "test/support/tiny_sbs.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;

// A Gemma with tokens; `change` makes it one that no `.sbs` file can be.
template <class Change>
void write_gemma(const std::filesystem::path& path, const test::TinyShape& shape, Change change) {
  test::TinyModelWriter tiny(shape);
  GgufWriter& writer = tiny.writer();
  const std::vector<std::string_view> texts(shape.vocabulary, "t");
  writer.set("tokenizer.ggml.model", std::string_view("llama"));
  writer.set_array("tokenizer.ggml.tokens", texts);
  writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{2});
  writer.set("tokenizer.ggml.unknown_token_id", std::uint32_t{3});
  writer.set_array("tokenizer.ggml.token_type", std::vector<std::int32_t>(texts.size(), 1));
  change(writer);
  writer.write(path);
}

const std::vector<float> kRow(80 * 64, 0.5f);

}  // namespace

TEST_CASE("sbs: a model that a file cannot describe is refused, with what it cannot say", "[compress][sbs]") {
  struct Row {
    const char* family;
    std::function<void(GgufWriter&)> change;
    const char* why;
  };
  const auto tensor = [](const char* name, std::vector<std::uint64_t> dims) {
    return [name, dims](GgufWriter& writer) {
      writer.add_tensor(name, DType::f32, dims, std::as_bytes(std::span(kRow)).first(4 * dims[0] * dims[1]));
    };
  };
  const std::vector<Row> rows = {
      {"gemma3", [](GgufWriter& w) { w.set("gemma3.attention.sliding_window", std::uint32_t{256}); },
       "cannot say what each layer sees"},
      {"gemma", [](GgufWriter& w) { w.set("gemma.attention.layer_norm_rms_epsilon", 1e-5f); },
       "cannot say the epsilon of the norms"},
      {"gemma2", [](GgufWriter& w) { w.set("tokenizer.ggml.bos_token_id", std::uint32_t{7}); },
       "bos_token_id: is 7, and in an .sbs file always 2"},
      {"gemma", tensor("output.weight", {64, 80}), "tensor 'output.weight': an .sbs file has no place for it"},
      {"gemma2", tensor("blk.0.attn_q.bias", {64, 1}), "tensor 'blk.0.attn_q.bias': an .sbs file has no place for it"},
      {"gemma2", [](GgufWriter& w) { w.set("gemma2.feed_forward_length", std::uint32_t{32}); },
       "tensor 'blk.0.ffn_gate.weight': is [96, 64], expected [32, 64]"},
  };
  for (const Row& row : rows) {
    const TempDir folder;
    write_gemma(folder / "a.gguf", {.architecture = row.family, .dtype = DType::f32}, row.change);
    CHECK_THROWS_WITH(compress_to_sbs(open_source(folder / "a.gguf"), "f32", folder / "b.sbs", {}), Contains(row.why));
    CHECK_FALSE(std::filesystem::exists(folder / "b.sbs"));
  }
}

TEST_CASE("sbs: what GGUF files leave out or write as none is no hindrance", "[compress][sbs]") {
  const TempDir folder;
  write_gemma(folder / "a.gguf", {.architecture = "gemma2", .dtype = DType::f32}, [](GgufWriter& writer) {
    writer.set("tokenizer.ggml.eos_token_id", std::numeric_limits<std::uint32_t>::max());
    std::vector<std::int32_t> types(83, 1);
    types[9] = 0;
    writer.set_array("tokenizer.ggml.token_type", types);
    writer.set_array("tokenizer.ggml.tokens", std::vector<std::string_view>(83, "t"));  // three have no row
  });
  compress_to_sbs(open_source(folder / "a.gguf"), "f32", folder / "b.sbs", {.verify = true});
  compress_to_gguf(*std::make_unique<ModelSource>(open_source(folder / "b.sbs")), *find_file_type("f32"),
                   folder / "c.gguf", {});
  CHECK(open_model_file(folder / "c.gguf").metadata().texts("tokenizer.ggml.tokens").size() == 80);
}

TEST_CASE("sbs: what is no SentencePiece model does not become the tokenizer", "[compress][sbs]") {
  const TempDir folder;
  write_gemma(folder / "a.gguf", {.architecture = "gemma", .dtype = DType::f32}, [](GgufWriter&) {});
  std::ofstream(folder / "t.model") << "{\"model\": {}}";
  CHECK_THROWS_WITH(open_source(folder / "a.gguf", {.tokenizer = folder / "t.model"}), Contains("t.model"));
}

TEST_CASE("sbs: a value that is not finite is refused before it is sorted", "[compress][sbs]") {
  const std::string type = GENERATE("i8", "nuq", "sfp");
  const TempDir folder;
  write_gemma(folder / "a.gguf", {.architecture = "gemma", .dtype = DType::f32}, [](GgufWriter&) {});
  ModelSource source = open_source(folder / "a.gguf");
  std::vector<float> values(96 * 64, 0.5f);
  values[64 * 5 + 7] = std::numeric_limits<float>::quiet_NaN();
  for (SourceTensor& tensor : source.tensors)
    if (tensor.name == "blk.0.ffn_gate.weight") tensor = made_tensor(source, tensor.name, tensor.dims, values);
  CHECK_THROWS_WITH(compress_to_sbs(source, type, folder / "b.sbs", {}),
                    Contains("row 5, column 7: ") && Contains("is not a finite number"));
}

TEST_CASE("sbs: a tensor whose name no file can hold is refused", "[compress][sbs]") {
  const auto add = [](const std::string& name) {
    const std::vector<std::byte> bytes(16);
    SbsWriter(test::tiny_sbs_config()).add_tensor({name, SbsType::f32, 1, 4, 1}, bytes);
  };
  CHECK_NOTHROW(add("a_name_of_16_let"));
  for (const char* name : {"", "a_name_of_17_lett", "config", "tokenizer", "toc", "bl\xC3\xA4h", "two words"}) {
    INFO(name);
    CHECK_THROWS_AS(add(name), Unsupported);
  }
}

TEST_CASE("migrate: tensors in the layout of 2024 are refused, of whatever size", "[migrate]") {
  // A Gemma 3 270M of before 2025: the letter before a name says the type, and there is nothing but tensors.
  const KnownGemma& known = *std::ranges::find(known_gemmas(), std::size_t{640}, &KnownGemma::width);
  struct Blob {
    std::string key;
    std::uint64_t at, size;
  };
  std::vector<Blob> blobs;
  for (const SbsTensorPlan& plan : sbs_plan(sbs_shape(canonical_config(known), "known"))) {
    const std::uint64_t elements = std::uint64_t{plan.rows} * plan.cols;
    const bool is_vector = plan.rows == 1;
    const std::uint64_t bytes = is_vector ? 4 * elements : nuq_tables_first_bytes(elements);
    CHECK((is_vector || bytes == sbs_bytes(SbsType::nuq, elements)));
    blobs.push_back({(is_vector ? "F" : "2") + plan.name, 0, bytes});
  }
  std::uint64_t end = round_up(16 + 32 * blobs.size(), 256);
  for (Blob& blob : blobs) {
    blob.at = end;
    end = round_up(end + blob.size, 256);
  }
  ByteWriter header;
  header.put(std::as_bytes(std::span(kSbsMagic)));
  header.write(static_cast<std::uint32_t>(blobs.size()));
  header.write(blobs.back().at + blobs.back().size);
  for (const Blob& blob : blobs) {
    header.put(std::as_bytes(std::span(blob.key)));
    header.pad(16);
  }
  for (const Blob& blob : blobs) {
    header.write(blob.at);
    header.write(blob.size);
  }
  const TempDir folder;
  std::ofstream(folder / "old.sbs", std::ios::binary)
      .write(reinterpret_cast<const char*>(header.bytes().data()), static_cast<std::streamsize>(header.bytes().size()));
  std::filesystem::resize_file(folder / "old.sbs", blobs.back().at + blobs.back().size);  // zeros that take no room
  CHECK_THROWS_WITH(migrate(folder / "old.sbs", "", folder / "new.sbs"), Contains("has the layout of 2024"));
  CHECK_FALSE(std::filesystem::exists(folder / "new.sbs"));
}

}  // namespace carat
