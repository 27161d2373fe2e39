// What an `.sbs` file of each generation gives: tensors, metadata, tokenizer.
#include <cmath>
#include <fstream>

#include "engine/error.h"
#include "engine/file/sbs_contents.h"
#include "engine/file/sbs_metadata.h"
#include "engine/file/sbs_models.h"
#include "engine/file/sbs_names.h"
#include "engine/model.h"
#include "kernels/half.h"
#include "kernels/quant/sfp.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/temp_dir.h"
#include "test/support/tiny_sbs.h"

namespace carat {
namespace {

using test::SbsBlobs;

std::vector<float> floats(const FileTensor& tensor) {
  REQUIRE(tensor.dtype == DType::f32);
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

const std::vector<std::byte>& blob(const SbsBlobs& blobs, std::string_view key) {
  return std::find_if(blobs.begin(), blobs.end(), [&](const auto& entry) { return entry.first == key; })->second;
}

// Element [row, col] of a blob of f32 with rows of `cols`.
float element(const std::vector<std::byte>& bytes, std::size_t cols, std::size_t row, std::size_t col) {
  float value;
  std::memcpy(&value, bytes.data() + (row * cols + col) * sizeof value, sizeof value);
  return value;
}

TEST_CASE("sbs: stacked matrices come apart by rows, heads and columns", "[sbs]") {
  const SbsBlobs blobs = test::tiny_sbs_blobs();
  const std::vector<std::byte> bytes = test::sbs_v1(blobs);
  const ModelFile file = parse_sbs(bytes, "f");
  const auto tensor = [&](const char* name) { return floats(file.need(std::string("blk.0.") + name + ".weight")); };
  const auto q = tensor("attn_q"), k = tensor("attn_k"), v = tensor("attn_v"), o = tensor("attn_output");
  const auto gate = tensor("ffn_gate"), up = tensor("ffn_up");
  const auto& qkv = blob(blobs, "qkv_ein_0");
  for (std::size_t col = 0; col < 8; ++col) {
    for (std::size_t row = 0; row < 16; ++row) CHECK(q[row * 8 + col] == element(qkv, 8, row, col));
    for (std::size_t row = 0; row < 8; ++row) {
      CHECK(k[row * 8 + col] == element(qkv, 8, 16 + row / 4 * 8 + row % 4, col));
      CHECK(v[row * 8 + col] == element(qkv, 8, 16 + row / 4 * 8 + 4 + row % 4, col));
    }
    for (std::size_t row = 0; row < 12; ++row) {
      CHECK(gate[row * 8 + col] == element(blob(blobs, "gating_ein_0"), 8, row, col));
      CHECK(up[row * 8 + col] == element(blob(blobs, "gating_ein_0"), 8, 12 + row, col));
    }
  }
  for (std::size_t row = 0; row < 8; ++row)
    for (std::size_t col = 0; col < 16; ++col)
      CHECK(o[row * 16 + col] == element(blob(blobs, "att_ein_0"), 4, col / 4 * 8 + row, col % 4));
  const auto norm = tensor("attn_norm");
  for (std::size_t col = 0; col < 8; ++col) CHECK(norm[col] == 1 + element(blob(blobs, "pre_att_ns_0"), 8, 0, col));
}

TEST_CASE("sbs: what lies together is not copied", "[sbs]") {
  const std::vector<std::byte> bytes = test::sbs_v1(test::tiny_sbs_blobs());
  const ModelFile file = parse_sbs(bytes, "f");
  const auto in_file = [&](const char* name) {
    const std::byte* at = file.need(name).bytes.data();
    return at >= bytes.data() && at < bytes.data() + bytes.size();
  };
  CHECK(in_file("token_embd.weight"));
  CHECK(in_file("blk.0.attn_q.weight"));
  CHECK(in_file("blk.0.ffn_gate.weight"));
  CHECK(in_file("blk.0.ffn_up.weight"));
  CHECK(in_file("blk.0.ffn_down.weight"));
  CHECK_FALSE(in_file("blk.0.attn_k.weight"));
  CHECK_FALSE(in_file("blk.0.attn_output.weight"));
}

TEST_CASE("sbs: both containers hold the same", "[sbs]") {
  const SbsBlobs blobs = test::tiny_sbs_blobs();
  const std::vector<std::byte> first = test::sbs_v1(blobs), second = test::sbs_v2(blobs);
  const ModelFile one = parse_sbs(first, "f"), two = parse_sbs(second, "f");
  CHECK(one.version() == 1);
  CHECK(two.version() == 2);
  REQUIRE(one.tensors().size() == two.tensors().size());
  for (const FileTensor& tensor : one.tensors()) CHECK(std::ranges::equal(tensor.bytes, two.need(tensor.name).bytes));
  CHECK(two.metadata().text(kSentencePieceKey) == "a tokenizer");
}

TEST_CASE("sbs: the metadata is that of a GGUF file of the same model", "[sbs]") {
  const std::vector<std::byte> bytes = test::sbs_v1(test::tiny_sbs_blobs());
  const ModelFile file = parse_sbs(bytes, "f");
  const ModelConfig c = read_config(file);
  CHECK(c.architecture == "gemma3");
  CHECK(c.name == "tiny");
  CHECK(c.context == 32);
  CHECK(c.width == 8);
  CHECK(c.hidden == 12);
  CHECK(c.heads == 4);
  CHECK(c.kv_heads == 2);
  CHECK(c.head_dim == 4);
  CHECK(c.query_scale == 0.5f);
  CHECK(c.layers[0].window == 6);
  CHECK(c.ropes[0].base == 1e6);
  CHECK(c.ropes[0].factor == 1);
  CHECK(c.ropes[1].base == 1e4);
  const Metadata& metadata = file.metadata();
  CHECK(metadata.count("tokenizer.ggml.bos_token_id", 0, 100) == 2);
  CHECK(metadata.count("tokenizer.ggml.eos_token_id", 0, 100) == 1);
  CHECK(metadata.count("tokenizer.ggml.eot_token_id", 0, 200) == 106);
  CHECK(metadata.flag("tokenizer.ggml.add_bos_token"));
}

TEST_CASE("sbs: a store without a tokenizer has none in its metadata", "[sbs]") {
  SbsBlobs blobs = test::tiny_sbs_blobs();
  for (auto& [key, bytes] : blobs)
    if (key == "tokenizer") {
      const std::string_view none = "unavailable";
      bytes.assign(std::as_bytes(std::span(none)).begin(), std::as_bytes(std::span(none)).end());
    }
  const std::vector<std::byte> bytes = test::sbs_v1(blobs);
  const ModelFile file = parse_sbs(bytes, "f");
  CHECK_FALSE(file.metadata().has(kSentencePieceKey));
  CHECK_FALSE(file.metadata().has("tokenizer.ggml.model"));
}

TEST_CASE("sbs: the scale of a matrix stays with each part of it, and goes into gains", "[sbs]") {
  SbsBlobs blobs = test::tiny_sbs_blobs();
  auto& toc = blobs.back().second;
  std::vector<SbsTensor> directory = parse_sbs_toc(toc, "f");
  for (SbsTensor& tensor : directory) tensor.scale = 2;
  toc = serialise_sbs_toc(directory);
  const std::vector<std::byte> bytes = test::sbs_v1(blobs);
  const ModelFile file = parse_sbs(bytes, "f");
  for (const FileTensor& tensor : file.tensors()) {
    INFO(tensor.name);
    const bool gain = tensor.name.ends_with("norm.weight");
    CHECK(as_matrix(tensor).scale == (gain ? 1 : 2));
  }
  CHECK(floats(file.need("output_norm.weight"))[3] == 1 + 2 * element(blob(blobs, "c_final_norm"), 8, 0, 3));
}

// Words of a newer struct than ours are skipped, at every level.
TEST_CASE("sbs: a configuration of the future is read as far as we know it", "[sbs]") {
  const SbsConfig config = test::tiny_sbs_config();
  std::vector<std::byte> bytes = serialise(config);
  const auto insert = [&](std::size_t word, std::size_t length_word) {
    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(4 * word), 4, std::byte{9});
    for (const std::size_t at : {std::size_t{0}, length_word}) {
      std::uint32_t length;
      std::memcpy(&length, bytes.data() + 4 * at, 4);
      ++length;
      std::memcpy(bytes.data() + 4 * at, &length, 4);
      if (length_word == 0) break;
    }
  };
  insert(bytes.size() / 4, 0);
  CHECK(parse_sbs_config(bytes, "f") == config);
  // Behind length, version, name (2), 3 enums, 4 sizes, scales, 2 caps, 2 bools, query scale, count: the layer.
  const std::size_t layer = 18;
  insert(layer + 16, layer);
  CHECK(parse_sbs_config(bytes, "f") == config);
}

TEST_CASE("sbs: vision layers of before September 2025 are vision layers", "[sbs]") {
  SbsConfig config = test::tiny_sbs_config();
  config.vit_config.layer_configs = config.layer_configs;
  config.vit_config.layer_configs[0].type = 2;
  CHECK(parse_sbs_config(serialise(config), "f").vit_config.layer_configs[0].type == 1);
}

// A store without directory: names with a letter, sizes of a known model, holes for weights.
void write_old_store(const std::filesystem::path& path, const KnownGemma& known, bool with_scales) {
  std::vector<std::pair<std::string, std::uint64_t>> blobs;
  for (const SbsTensorPlan& plan : sbs_plan(sbs_shape(canonical_config(known), "f"))) {
    const bool packed = plan.rows > 1;
    const std::uint64_t n = std::uint64_t{plan.rows} * plan.cols;
    blobs.emplace_back((packed ? "$" : "B") + plan.name, packed ? n : 2 * n);
  }
  std::vector<float> scales;
  for (std::uint32_t i = 0; i < 16 * known.layers; ++i) scales.push_back(static_cast<float>(i + 1));
  if (with_scales) blobs.emplace_back("Fscales", scales.size() * sizeof(float));
  ByteWriter out;
  out.put(std::as_bytes(std::span(kSbsMagic)));
  out.write(static_cast<std::uint32_t>(blobs.size()));
  std::uint64_t at = round_up(16 + 32 * blobs.size(), 256), size = at;
  for (const auto& [key, bytes] : blobs) size += round_up(bytes, 256);
  out.write(size);
  for (const auto& [key, bytes] : blobs) {
    out.put(std::as_bytes(std::span(key)));
    out.pad(16);
  }
  for (const auto& [key, bytes] : blobs) {
    out.write(at);
    out.write(bytes);
    at += round_up(bytes, 256);
  }
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(out.bytes().data()), static_cast<std::streamsize>(out.position()));
  if (with_scales) {
    file.seekp(static_cast<std::streamoff>(size - round_up(scales.size() * 4, 256)));
    file.write(reinterpret_cast<const char*>(scales.data()), static_cast<std::streamsize>(scales.size() * 4));
  }
  file.close();
  std::filesystem::resize_file(path, size);
}

TEST_CASE("sbs: a store of before 2025 is known by the sizes of its tensors", "[sbs]") {
  const test::TempDir folder;
  for (const KnownGemma& known : known_gemmas()) {
    if (known.width > 2304) continue;  // their holes take as long to put together as weights do
    INFO(known.name);
    write_old_store(folder / "old.sbs", known, known.model == SbsModel::gemma3_270m);
    const MappedFile file = MappedFile::open(folder / "old.sbs");
    const SbsContents contents = read_sbs_contents(file.bytes(), "old");
    CHECK(contents.config == canonical_config(known));
    CHECK_FALSE(contents.has_directory);
    if (known.model != SbsModel::gemma3_270m) continue;
    const auto scale = [&](const char* name) {
      return std::ranges::find(contents.tensors, name, [](const auto& item) { return item.tensor.name; })->tensor.scale;
    };
    CHECK(scale("c_embedding") == 1);
    CHECK(scale("att_ein_0") == 1);
    CHECK(scale("qkv_ein_0") == 2);
    CHECK(scale("gating_ein_2") == 11);
    CHECK(scale("linear_w_17") == 72);
    const ModelFile model = open_model_file(folder / "old.sbs");
    CHECK(read_config(model).ropes[0].base == 1e6);
    CHECK(model.need("blk.1.attn_q.weight").scale == 6);
    CHECK_NOTHROW(load_model(model, make_cpu_backend({})));
  }
}

TEST_CASE("sbs: sizes of no known model are refused", "[sbs]") {
  const UnshapedTensor tensors[] = {{"c_embedding", SbsType::bf16, 1000}, {"c_final_norm", SbsType::bf16, 10}};
  CHECK_THROWS_WITH(deduce_sbs_config(tensors, "f"), Catch::Contains("f: holds no configuration"));
}

TEST_CASE("sbs: each published model has the metadata it was trained with", "[sbs]") {
  for (const KnownGemma& known : known_gemmas()) {
    INFO(known.name);
    std::vector<std::vector<std::byte>> texts;
    const Metadata metadata = sbs_metadata(canonical_config(known), "", "f", texts);
    const std::string prefix = std::string(known.architecture) + ".";
    CHECK(metadata.text("general.architecture") == known.architecture);
    const bool large = known.architecture == "gemma3" && known.layers > 26;
    CHECK(metadata.count(prefix + "context_length", 1, 1u << 20) == (large ? 131072 : known.context));
    if (large) CHECK(metadata.real(prefix + "rope.scaling.factor", 1, 100) == 8);
    CHECK(metadata.has(prefix + "rope.scaling.factor") == large);
    CHECK(metadata.count("tokenizer.ggml.eot_token_id", 0, 200) == (known.architecture == "gemma3" ? 106 : 107));
  }
}

TEST_CASE("sbs: i8 is inverse scale times code, from a zero point, in groups of 128", "[sbs]") {
  constexpr std::size_t n = 130;
  std::vector<std::byte> packed;
  const auto put = [&](std::uint16_t word) {
    packed.push_back(static_cast<std::byte>(word & 255));
    packed.push_back(static_cast<std::byte>(word >> 8));
  };
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 128 == 0) {
      put(bf16_from_float(i == 0 ? 0.5f : 2.0f));
      put(bf16_from_float(i == 0 ? 4.0f : -1.0f));
    }
    packed.push_back(static_cast<std::byte>(i));
  }
  REQUIRE(packed.size() == sbs_bytes(SbsType::i8, n));
  const auto out = unpack_to_bf16(SbsType::i8, packed, n, NuqLayout::by_group);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t value;
    std::memcpy(&value, out.data() + 2 * i, 2);
    const auto code = static_cast<float>(static_cast<std::int8_t>(i));
    CHECK(bf16_to_float(value) == (i < 128 ? 0.5f * (code - 4) : 2.0f * (code + 1)));
  }
}

TEST_CASE("sbs: nuq is an index into sixteen values, in both layouts", "[sbs]") {
  constexpr std::size_t n = 300;
  const auto centre = [](std::size_t group, std::size_t i) {
    return static_cast<std::uint8_t>(3 * i + 40 * group + 1);
  };
  const auto index = [](std::size_t i) { return (i * 7 + i / 16) % 16; };
  for (const NuqLayout layout : {NuqLayout::by_group, NuqLayout::tables_first}) {
    const bool by_group = layout == NuqLayout::by_group;
    std::vector<std::byte> packed(by_group ? sbs_bytes(SbsType::nuq, n) : nuq_tables_first_bytes(n));
    REQUIRE(packed.size() == (by_group ? 16 * 2 + 150u : 64 + 150u));
    for (std::size_t group = 0; group < 2; ++group)
      for (std::size_t i = 0; i < 16; ++i)
        packed[(by_group ? 144 : 16) * group + i] = static_cast<std::byte>(centre(group, i));
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t at = by_group ? i / 256 * 144 + 16 + i % 256 / 2 : 64 + i / 2;
      packed[at] |= static_cast<std::byte>(index(i) << (i % 2 * 4));
    }
    const auto out = unpack_to_bf16(SbsType::nuq, packed, n, layout);
    for (std::size_t i = 0; i < n; ++i) {
      std::uint16_t value;
      std::memcpy(&value, out.data() + 2 * i, 2);
      CHECK(bf16_to_float(value) == sfp_to_float(centre(i / 256, index(i))));
    }
  }
}

}  // namespace
}  // namespace carat
