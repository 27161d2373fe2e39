#include "convert/hugging_face.h"

#include <set>

#include "convert/source.h"
#include "engine/error.h"
#include "engine/model_config.h"
#include "kernels/half.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/safetensors_writer.h"
#include "test/support/temp_dir.h"

namespace carat {
namespace {

using Catch::Contains;
using nlohmann::json;
using test::TempDir;

const char* const kLlama3Split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kQwenSplit =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// A byte-level tokenizer.json of a few tokens.
json tiny_tokenizer(const std::string& split) {
  return {{"model", {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}},
          {"added_tokens", json::array({{{"id", 3}, {"content", "<|end|>"}, {"special", true}}})},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers", json::array({{{"type", "Split"}, {"pattern", {{"Regex", split}}}},
                                           {{"type", "ByteLevel"}, {"use_regex", false}}})}}}};
}

json small_config(const std::string& type) {
  return {{"model_type", type},
          {"hidden_size", 16},
          {"intermediate_size", 24},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"head_dim", 8},
          {"vocab_size", 6},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"sliding_window", 8},
          {"tie_word_embeddings", true},
          {"eos_token_id", {3, 1}}};
}

std::vector<float> numbered(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i);
  return values;
}

// A folder of one small layer, its values numbered from 0 in each tensor.
void write_small_model(const TempDir& folder, const json& config, bool doubles = false) {
  const bool post_norms = config["model_type"] == "gemma2" || config["model_type"] == "gemma3_text";
  test::SafetensorsWriter writer;
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t n = 1;
    for (const std::uint64_t dim : shape) n *= dim;
    const std::vector<float> values = numbered(n);
    if (doubles) {
      writer.add_doubles(name, shape, {values.begin(), values.end()});
    } else {
      writer.add(name, shape, values);
    }
  };
  add("model.embed_tokens.weight", {6, 16});
  add("model.norm.weight", {16});
  const std::string layer = "model.layers.0.";
  add(layer + "input_layernorm.weight", {16});
  add(layer + "self_attn.q_proj.weight", {16, 16});
  add(layer + "self_attn.k_proj.weight", {8, 16});
  add(layer + "self_attn.v_proj.weight", {8, 16});
  add(layer + "self_attn.o_proj.weight", {16, 16});
  add(layer + "post_attention_layernorm.weight", {16});
  if (post_norms) add(layer + "pre_feedforward_layernorm.weight", {16});
  if (post_norms) add(layer + "post_feedforward_layernorm.weight", {16});
  add(layer + "mlp.gate_proj.weight", {24, 16});
  add(layer + "mlp.up_proj.weight", {24, 16});
  add(layer + "mlp.down_proj.weight", {16, 24});
  writer.write(folder / "model.safetensors");
  test::write_file(folder / "config.json", config.dump());
  test::write_file(folder / "tokenizer.json", tiny_tokenizer(kQwenSplit).dump());
}

std::vector<float> read_all(const SourceTensor& tensor) {
  std::vector<float> values(tensor.rows() * tensor.cols());
  tensor.read(0, tensor.rows(), values.data());
  return values;
}

TEST_CASE("hugging face: a llama's queries and keys are put into GGUF's order of rows", "[hugging_face]") {
  const TempDir folder;
  write_small_model(folder, small_config("llama"));
  const ModelSource source = open_source(folder.path());
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight"}) {
    const SourceTensor* tensor = source.find(name);
    REQUIRE(tensor != nullptr);
    const std::vector<float> rows = read_all(*tensor);
    std::vector<std::byte> stored(tensor->bytes());
    tensor->copy(0, stored);
    for (std::size_t h = 0; h < tensor->rows() / 8; ++h) {
      for (std::size_t i = 0; i < 4; ++i) {  // new row h d + 2 i + t = old row h d + t d / 2 + i
        for (std::size_t t = 0; t < 2; ++t)
          CHECK(rows[(8 * h + 2 * i + t) * 16] == static_cast<float>((8 * h + t * 4 + i) * 16));
      }
    }
    CHECK(std::memcmp(stored.data(), rows.data(), stored.size()) == 0);
  }
  CHECK(read_all(*source.find("blk.0.attn_v.weight")) == numbered(8 * 16));
  CHECK(source.find("output.weight") == nullptr);
  CHECK(source.metadata().count("llama.rope.dimension_count", 1, 100) == 8);
  CHECK(read_config(*source.file).heads == 2);
}

TEST_CASE("hugging face: doubles of a llama are read in the same order", "[hugging_face]") {
  const TempDir folder, doubles;
  write_small_model(folder, small_config("llama"));
  write_small_model(doubles, small_config("llama"), true);
  const ModelSource floats = open_source(folder.path());
  const ModelSource source = open_source(doubles.path());
  for (const SourceTensor& tensor : source.tensors) {
    INFO(tensor.name);
    CHECK(read_all(tensor) == read_all(*floats.find(tensor.name)));
  }
  CHECK_FALSE(source.find("blk.0.attn_q.weight")->copy);
}

TEST_CASE("hugging face: a vocabulary is no larger than the embedding", "[hugging_face][robust]") {
  const TempDir folder;
  json config = small_config("llama");
  config["vocab_size"] = 1 << 20;
  write_small_model(folder, config);
  CHECK_THROWS_WITH(open_source(folder.path()), Contains("vocab_size: is 1048576, but the embedding has 6 rows"));
  write_small_model(folder, small_config("llama"));
  json tokenizer = tiny_tokenizer(kQwenSplit);
  tokenizer["added_tokens"][0]["id"] = 1 << 20;
  test::write_file(folder / "tokenizer.json", tokenizer.dump());
  CHECK_THROWS_WITH(open_source(folder.path()), Contains("token '<|end|>': its id 1048576 is too large"));
}

TEST_CASE("hugging face: Gemma's norms gain their 1, other tensors stay", "[hugging_face]") {
  const std::string type = GENERATE("gemma", "gemma2", "gemma3_text");
  const TempDir folder;
  write_small_model(folder, small_config(type));
  const ModelSource source = open_source(folder.path());
  for (const SourceTensor& tensor : source.tensors) {
    INFO(tensor.name);
    const float first = read_all(tensor)[0];
    CHECK(first == (tensor.name.ends_with("_norm.weight") ? 1 : 0));
  }
  CHECK((source.find("blk.0.post_ffw_norm.weight") != nullptr) == (type != "gemma"));
}

TEST_CASE("hugging face: how a model is sampled goes along", "[hugging_face]") {
  const TempDir folder;
  write_small_model(folder, small_config("gemma3_text"));
  CHECK_FALSE(open_source(folder.path()).metadata().has("general.sampling.temp"));
  test::write_file(folder / "generation_config.json",
                   R"({"temperature": 0, "top_k": 20, "top_p": 0.5, "repetition_penalty": 1.25, "do_sample": true})");
  const ModelSource source = open_source(folder.path());
  CHECK(source.metadata().real_or("general.sampling.temp", 9, 0, 9) == 0);
  CHECK(source.metadata().count_or("general.sampling.top_k", 9, 0, 99) == 20);
  CHECK(source.metadata().real_or("general.sampling.top_p", 9, 0, 9) == 0.5);
  CHECK(source.metadata().real_or("general.sampling.penalty_repeat", 9, 0, 9) == 1.25);
  CHECK_FALSE(source.metadata().has("general.sampling.min_p"));
  test::write_file(folder / "generation_config.json", R"({"temperature": "hot"})");
  CHECK_THROWS_WITH(open_source(folder.path()),
                    Contains("generation_config.json: temperature: is not a finite number"));
}

TEST_CASE("hugging face: other families' norms stay, and their rows too", "[hugging_face]") {
  const std::string type = GENERATE("qwen2", "qwen3");
  const TempDir folder;
  write_small_model(folder, small_config(type));
  const ModelSource source = open_source(folder.path());
  CHECK(read_all(*source.find("blk.0.ffn_norm.weight"))[0] == 0);
  CHECK(read_all(*source.find("blk.0.attn_q.weight")) == numbered(16 * 16));
}

TEST_CASE("hugging face: a byte-level tokenizer.json becomes the tokenizer's keys", "[hugging_face]") {
  const TempDir folder;
  write_small_model(folder, small_config("qwen2"));
  const ModelSource source = open_source(folder.path());
  const Metadata& meta = source.metadata();
  CHECK(meta.text("tokenizer.ggml.model") == "gpt2");
  CHECK(meta.text("tokenizer.ggml.pre") == "qwen2");
  CHECK(meta.texts("tokenizer.ggml.tokens") ==
        std::vector<std::string_view>{"a", "b", "ab", "<|end|>", "[PAD4]", "[PAD5]"});
  CHECK(meta.integers("tokenizer.ggml.token_type") == std::vector<std::int64_t>{1, 1, 1, 3, 5, 5});
  CHECK(meta.texts("tokenizer.ggml.merges") == std::vector<std::string_view>{"a b"});
  CHECK(meta.count("tokenizer.ggml.eos_token_id", 0, 10) == 3);
}

TEST_CASE("hugging face: a scaling of Llama 3's kind becomes a tensor of factors", "[hugging_face]") {
  const TempDir folder;
  json config = small_config("llama");
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 64}};
  write_small_model(folder, config);
  const ModelSource source = open_source(folder.path());
  const SourceTensor* factors = source.find("rope_freqs.weight");
  REQUIRE(factors != nullptr);
  const std::vector<float> values = read_all(*factors);
  REQUIRE(values.size() == 4);
  CHECK(values[0] == 1);                      // a wave of 6.3 positions: kept
  CHECK(values[1] == Approx(8.0).margin(7));  // 62.8: between
  CHECK(values[1] > 1);
  CHECK(values[2] == 8);  // 628: slowed down
  CHECK(values[3] == 8);
}

TEST_CASE("hugging face: shards are found through the index, half floats are kept as they are", "[hugging_face]") {
  const TempDir folder;
  write_small_model(folder, small_config("qwen2"));
  test::SafetensorsWriter more;
  more.add_bf16("model.layers.0.self_attn.q_proj.bias", {16}, std::vector<std::uint16_t>(16, bf16_from_float(2)));
  more.add_bf16("lm_head.weight", {6, 16}, std::vector<std::uint16_t>(96, bf16_from_float(3)));
  more.write(folder / "more.safetensors");
  test::write_file(folder / "model.safetensors.index.json",
                   R"({"weight_map":{"a":"model.safetensors","b":"more.safetensors"}})");
  json config = small_config("qwen2");
  config["tie_word_embeddings"] = false;
  test::write_file(folder / "config.json", config.dump());
  const ModelSource source = open_source(folder.path());
  CHECK(source.find("blk.0.attn_q.bias")->dtype == DType::f32);
  CHECK(read_all(*source.find("blk.0.attn_q.bias")) == std::vector<float>(16, 2));
  CHECK(source.find("output.weight")->dtype == DType::bf16);
  CHECK(source.find("token_embd.weight") != nullptr);
}

// Found by fuzzing: where a text belongs there was a number, and merges were no pairs.
TEST_CASE("hugging face: a tokenizer.json with other types than expected is refused or read", "[hugging_face]") {
  const auto open = [](const json& tokenizer) {
    const TempDir folder;
    write_small_model(folder, small_config("gemma3_text"));
    test::write_file(folder / "tokenizer.json", tokenizer.dump());
    open_source(folder.path());
  };
  json tokenizer = tiny_tokenizer(kQwenSplit);
  tokenizer["pre_tokenizer"] = {{"type", 1}, {"pattern", 2}};
  CHECK_NOTHROW(open(tokenizer));
  tokenizer["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", 3}}}};
  CHECK_NOTHROW(open(tokenizer));
  for (const json& merge : {json("ab"), json(" a"), json(""), json({"", "a"}), json(7)}) {
    tokenizer = tiny_tokenizer(kQwenSplit);
    tokenizer["model"]["merges"] = json::array({merge});
    CHECK_THROWS_AS(open(tokenizer), BadFile);
  }
}

TEST_CASE("hugging face: what is not known is refused by name", "[hugging_face]") {
  const TempDir folder;
  write_small_model(folder, small_config("mamba"));
  CHECK_THROWS_WITH(open_source(folder.path()), Contains("config.json: model_type: 'mamba' is not supported"));
  json config = small_config("llama");
  config["hidden_size"] = -4;
  test::write_file(folder / "config.json", config.dump());
  CHECK_THROWS_WITH(open_source(folder.path()), Contains("hidden_size: is '-4', expected 1 to"));
  config = small_config("llama");
  config["rope_scaling"] = {{"rope_type", "longrope"}};
  test::write_file(folder / "config.json", config.dump());
  CHECK_THROWS_WITH(open_source(folder.path()), Contains("rope_type 'longrope' is not supported"));
  config = small_config("llama");
  config["num_attention_heads"] = 4;
  test::write_file(folder / "config.json", config.dump());
  CHECK_THROWS_WITH(open_source(folder.path()), Contains("16 rows, which the heads of config.json do not make"));
  test::write_file(folder / "config.json", small_config("llama").dump());
  test::write_file(folder / "tokenizer.json", tiny_tokenizer("[a-z]+").dump());
  CHECK_THROWS_WITH(open_source(folder.path()), Contains("pre_tokenizer: splits by '[a-z]+'"));
  CHECK_THROWS_WITH(canonical_name({"llama", 1, 2, 1, 8, 6, true, {}}, "model.layers.1.mlp.up_proj.weight"),
                    Contains("is not known of llama"));
}

// What the published models say of themselves.
json published(const std::string& model) {
  if (model == "gemma-2b-it")
    return {{"model_type", "gemma"},   {"hidden_size", 2048},      {"intermediate_size", 16384},
            {"num_hidden_layers", 18}, {"num_attention_heads", 8}, {"num_key_value_heads", 1},
            {"head_dim", 256},         {"vocab_size", 256000},     {"max_position_embeddings", 8192},
            {"rms_norm_eps", 1e-6},    {"rope_theta", 10000.0},    {"bos_token_id", 2},
            {"eos_token_id", 1},       {"pad_token_id", 0},        {"unk_token_id", 3}};
  if (model == "gemma-2-2b-it")
    return {{"model_type", "gemma2"},
            {"hidden_size", 2304},
            {"intermediate_size", 9216},
            {"num_hidden_layers", 26},
            {"num_attention_heads", 8},
            {"num_key_value_heads", 4},
            {"head_dim", 256},
            {"vocab_size", 256000},
            {"max_position_embeddings", 8192},
            {"rms_norm_eps", 1e-6},
            {"rope_theta", 10000.0},
            {"attn_logit_softcapping", 50.0},
            {"final_logit_softcapping", 30.0},
            {"sliding_window", 4096},
            {"bos_token_id", 2},
            {"eos_token_id", 1},
            {"pad_token_id", 0},
            {"unk_token_id", 3}};
  if (model == "Qwen2.5-0.5B-Instruct")
    return {{"model_type", "qwen2"},       {"hidden_size", 896},
            {"intermediate_size", 4864},   {"num_hidden_layers", 24},
            {"num_attention_heads", 14},   {"num_key_value_heads", 2},
            {"vocab_size", 151936},        {"max_position_embeddings", 32768},
            {"rms_norm_eps", 1e-6},        {"rope_theta", 1000000.0},
            {"tie_word_embeddings", true}, {"bos_token_id", 151643},
            {"eos_token_id", 151645},      {"pad_token_id", 151643}};
  if (model == "Meta-Llama-3-8B-Instruct")
    return {{"model_type", "llama"},        {"hidden_size", 4096},
            {"intermediate_size", 14336},   {"num_hidden_layers", 32},
            {"num_attention_heads", 32},    {"num_key_value_heads", 8},
            {"vocab_size", 128256},         {"max_position_embeddings", 8192},
            {"rms_norm_eps", 1e-5},         {"rope_theta", 500000.0},
            {"tie_word_embeddings", false}, {"bos_token_id", 128000},
            {"eos_token_id", 128009}};
  return {{"model_type", "mistral"},
          {"hidden_size", 4096},
          {"intermediate_size", 14336},
          {"num_hidden_layers", 32},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"vocab_size", 32000},
          {"max_position_embeddings", 32768},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 1000000.0},
          {"tie_word_embeddings", false},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

// The tensors of a published model, as holes.
void write_published(const TempDir& folder, const json& config) {
  const std::uint64_t width = config["hidden_size"], hidden = config["intermediate_size"],
                      vocabulary = config["vocab_size"];
  const std::uint64_t heads = config["num_attention_heads"], kv_heads = config["num_key_value_heads"];
  const std::uint64_t head_dim = config.value("head_dim", width / heads);
  const bool gemma = config["model_type"] == "gemma" || config["model_type"] == "gemma2";
  test::SafetensorsWriter writer;
  writer.add_hole("model.embed_tokens.weight", {vocabulary, width});
  writer.add_hole("model.norm.weight", {width});
  if (!gemma && !config["tie_word_embeddings"]) writer.add_hole("lm_head.weight", {vocabulary, width});
  for (std::size_t i = 0; i < config["num_hidden_layers"]; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      writer.add_hole(layer + norm + ".weight", {width});
    if (config["model_type"] == "gemma2")
      for (const char* norm : {"pre_feedforward_layernorm", "post_feedforward_layernorm"})
        writer.add_hole(layer + norm + ".weight", {width});
    writer.add_hole(layer + "self_attn.q_proj.weight", {heads * head_dim, width});
    writer.add_hole(layer + "self_attn.k_proj.weight", {kv_heads * head_dim, width});
    writer.add_hole(layer + "self_attn.v_proj.weight", {kv_heads * head_dim, width});
    writer.add_hole(layer + "self_attn.o_proj.weight", {width, heads * head_dim});
    if (config["model_type"] == "qwen2")
      for (const char* name : {"q", "k", "v"})
        writer.add_hole(layer + "self_attn." + name + "_proj.bias", {(name[0] == 'q' ? heads : kv_heads) * head_dim});
    writer.add_hole(layer + "mlp.gate_proj.weight", {hidden, width});
    writer.add_hole(layer + "mlp.up_proj.weight", {hidden, width});
    writer.add_hole(layer + "mlp.down_proj.weight", {width, hidden});
  }
  writer.write(folder / "model.safetensors");
  test::write_file(folder / "config.json", config.dump());
}

TEST_CASE("hugging face: keys and tensor names are those of published conversions", "[hugging_face][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const std::string model = GENERATE("gemma-2b-it", "gemma-2-2b-it", "Qwen2.5-0.5B-Instruct",
                                     "Meta-Llama-3-8B-Instruct", "Mistral-7B-Instruct-v0.2");
  INFO(model);
  const TempDir folder;
  const json config = published(model);
  write_published(folder, config);
  const bool pieces = config["model_type"] == "mistral" || config["model_type"].get<std::string>().starts_with("gemma");
  if (pieces)
    std::filesystem::copy_file(test::fixtures() / "stories260K" / "tok512.model", folder / "tokenizer.model");
  else
    test::write_file(folder / "tokenizer.json",
                     tiny_tokenizer(model.starts_with("Q") ? kQwenSplit : kLlama3Split).dump());
  test::write_file(folder / "tokenizer_config.json", R"({"add_bos_token": true, "add_eos_token": false})");
  const ModelSource source = open_source(folder.path());

  const json golden = json::parse(test::slurp(test::fixtures() / "gguf_conversion_goldens" / (model + ".json")));
  const std::set<std::string> elsewhere = {"general.file_type", "general.quantization_version"};  // of every file
  std::set<std::string> names, expected;
  for (const SourceTensor& tensor : source.tensors) names.insert(tensor.name);
  for (const auto& [key, value] : golden.items()) {
    INFO(key);
    if (key.ends_with(".weight") || key.ends_with(".bias")) {
      expected.insert(key);
    } else if (!elsewhere.contains(key)) {
      const Value* found = source.metadata().find(key);
      REQUIRE(found != nullptr);
      const bool is_digest = value.get<std::string>().size() == 64;
      if (is_digest) continue;
      const auto* text = std::get_if<std::string_view>(found);
      const std::string shown = text != nullptr ? std::string(*text) : describe(*found);
      const bool same_number =
          shown[0] >= '0' && shown[0] <= '9' && std::stod(shown) == std::stod(value.get<std::string>());
      if (!same_number) CHECK(shown == value.get<std::string>());
    }
  }
  CHECK(names == expected);
  CHECK(read_config(*source.file).layers.size() == config["num_hidden_layers"]);
}

}  // namespace
}  // namespace carat
