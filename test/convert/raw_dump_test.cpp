// Dumps of float32 weights, with and without the names of their matrices.
#include <cstring>
#include <fstream>
#include <map>

#include "convert/compress.h"
#include "engine/error.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"
#include "test/support/tiny_sbs.h"

namespace carat {
namespace {

using Catch::Contains;
using test::TempDir;

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The small Gemma 3 as gemma.cpp's old tool took it: matrices in the order of its source, nothing between them.
std::string nameless_dump() {
  std::map<std::string, std::string> blobs;
  for (const auto& [key, bytes] : test::tiny_sbs_blobs()) blobs[key] = text_of(bytes);
  std::string dump = blobs.at("c_embedding") + blobs.at("c_final_norm");
  for (const char* name : {"att_ein", "qkv_ein", "gating_ein", "linear_w", "pre_att_ns", "pre_ff_ns", "post_att_ns",
                           "post_ff_ns", "key_norm", "query_norm"})
    dump += blobs.at(std::string(name) + "_0");
  return dump;
}

std::string named_dump() {
  std::string dump;
  for (const SbsTensorPlan& plan : sbs_plan(test::tiny_sbs_shape())) {
    dump += plan.name + " " + std::to_string(plan.rows) + " " + std::to_string(plan.cols) + "\n";
    for (const auto& [key, bytes] : test::tiny_sbs_blobs())
      if (key == plan.name) dump += text_of(bytes);
  }
  return dump;
}

TEST_CASE("raw dump: with names and without, it becomes the file that its weights came from", "[compress][sbs]") {
  const TempDir folder;
  write_bytes(folder / "x.raw", GENERATE(named_dump(), nameless_dump()));
  write_bytes(folder / "like.sbs", text_of(test::sbs_v2(test::tiny_sbs_blobs())));
  const ModelSource source = open_source(folder / "x.raw", {.config = folder / "like.sbs"});
  CHECK(source.format == "raw");
  compress_to_sbs(source, "f32", folder / "out.sbs", {.verify = true});
  const MappedFile found = MappedFile::open(folder / "out.sbs"), like = MappedFile::open(folder / "like.sbs");
  const SbsContents a = read_sbs_contents(found.bytes(), "a"), b = read_sbs_contents(like.bytes(), "b");
  CHECK(a.config.layer_configs == b.config.layer_configs);
  CHECK(a.config.display_name == b.config.display_name);
  CHECK(a.tokenizer == b.tokenizer);
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    INFO(b.tensors[i].tensor.name);
    CHECK(a.tensors[i].tensor.name == b.tensors[i].tensor.name);
    CHECK(std::ranges::equal(a.tensors[i].bytes, b.tensors[i].bytes));
  }
}

TEST_CASE("raw dump: it becomes GGUF too, as the .sbs file does", "[compress][sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto sbs = test::fixtures() / "sbs";
  const TempDir folder;
  ModelSource raw = open_source(sbs / "tiny2.raw", {.config = sbs / "tiny2-f32.sbs"});
  ModelSource file = open_source(sbs / "tiny2-f32.sbs");
  compress_to_gguf(raw, *find_file_type("q8_0"), folder / "a.gguf", {.verify = true});
  compress_to_gguf(file, *find_file_type("q8_0"), folder / "b.gguf", {.verify = true});
  CHECK((test::slurp(folder / "a.gguf") == test::slurp(folder / "b.gguf")));
}

TEST_CASE("raw dump: a line or a matrix that is cut short is refused", "[compress][sbs]") {
  const TempDir folder;
  const auto write = [&](const std::string& bytes) { write_bytes(folder / "x.raw", bytes); };
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

TEST_CASE("raw dump: one of another model is refused", "[compress][sbs]") {
  const TempDir folder;
  write_bytes(folder / "like.sbs", text_of(test::sbs_v2(test::tiny_sbs_blobs())));
  const SourceOptions like{.config = folder / "like.sbs"};
  write_bytes(folder / "x.raw", nameless_dump() + "more");
  CHECK_THROWS_WITH(open_source(folder / "x.raw", like), Contains("but a float32 dump of tiny has"));
  write_bytes(folder / "x.raw", "c_embedding 2 4\n" + std::string(32, '\0'));
  CHECK_THROWS_WITH(open_source(folder / "x.raw", like), Contains("shape [2, 4], expected [10, 8]"));
  CHECK_THROWS_WITH(open_source(folder / "x.raw", {.model = find_gemma("gemma3-1b")}), Contains("expected [262144"));
}

TEST_CASE("model names: those of gemma.cpp's tools, with and without the kind of prompt", "[compress][sbs]") {
  CHECK(find_gemma("2b-it")->known->model == SbsModel::gemma_2b);
  CHECK(find_gemma("2b-it")->wrapping == SbsWrapping::gemma_it);
  CHECK(find_gemma("gemma2-2b-pt")->known->model == SbsModel::gemma2_2b);
  CHECK(find_gemma("gemma2-2b-pt")->wrapping == SbsWrapping::gemma_pt);
  CHECK(find_gemma("9b-it")->known->model == SbsModel::gemma2_9b);
  CHECK(find_gemma("gemma2-9b")->known->model == SbsModel::gemma2_9b);
  CHECK_FALSE(find_gemma("gemma3-1b")->wrapping);
  CHECK_FALSE(find_gemma("gemma3"));
  CHECK_FALSE(find_gemma("-it"));
  CHECK_FALSE(find_gemma(""));
}

TEST_CASE("model names: a file of another model is refused", "[compress][sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto tiny = test::fixtures() / "tiny";
  CHECK_THROWS_WITH(open_source(tiny / "tiny-llama-f16.gguf", {.model = find_gemma("gemma3-1b")}),
                    Contains("is not gemma3-1b: it is of the family llama"));
  CHECK_THROWS_WITH(open_source(tiny / "tiny-gemma3-f16.gguf", {.model = find_gemma("gemma3-1b")}),
                    Contains("is not gemma3-1b: the number of layers is"));
}

}  // namespace
}  // namespace carat
