// The JSON files of a Hugging Face folder: the input is config.json, a NUL, and tokenizer.json.
#include <fstream>

#include "convert/hugging_face.h"
#include "engine/error.h"
#include "test/fuzz/target.h"
#include "test/support/temp_dir.h"

namespace carat::fuzz {
namespace {

const char kConfig[] =
    R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"num_hidden_layers":1,
"num_attention_heads":2,"num_key_value_heads":1,"intermediate_size":16,"vocab_size":5,"max_position_embeddings":32,
"rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":true,"rope_scaling":{"rope_type":"llama3","factor":8.0,
"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192}})";
const char kTokenizer[] = R"({"version":"1.0","added_tokens":[{"id":4,"content":"<|eot_id|>","special":true}],
"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"c":3},"merges":["a b"]}})";

void write(const std::filesystem::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

}  // namespace

void run(std::span<const std::byte> input) {
  static const test::TempDir folder;
  const std::string_view text = text_of(input);
  const std::size_t cut = std::min(text.find('\0'), text.size());
  write(folder / "config.json", text.substr(0, cut));
  write(folder / "tokenizer.json", cut < text.size() ? text.substr(cut + 1) : "");
  try {
    GgufWriter writer;
    const FolderConfig config = read_folder_config(folder.path(), writer);
    canonical_name(config, "model.layers.0.self_attn.q_proj.weight");
    read_folder_tokenizer(folder.path(), {}, config, writer);
  } catch (const Error&) {
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (std::string config : {std::string(kConfig), std::string(R"({"model_type":"gemma3_text","hidden_size":8,
"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":4,"intermediate_size":16,"vocab_size":5,
"sliding_window":16,"architectures":["Gemma3ForCausalLM"]})"),
                             std::string(R"({"model_type":"qwen2","architectures":["Qwen2ForCausalLM"],"hidden_size":8,
"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"intermediate_size":16,"vocab_size":5,
"max_position_embeddings":32,"rms_norm_eps":1e-6,"rope_theta":1e6})")}) {
    config.push_back('\0');
    all.push_back(bytes_of(config + kTokenizer));
  }
  return all;
}

// A number or a word of the JSON text becomes another.
Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  constexpr std::string_view kTokens[] = {
      "0", "-1", "1e999", "null", "\"\"", "[]", "{}", "true", "18446744073709551615"};
  std::string text(text_of(input));
  const std::size_t colon = text.empty() ? std::string::npos : text.find(':', random() % text.size());
  if (colon == std::string::npos) return {};
  const std::size_t end = text.find_first_of(",}]", colon);
  if (end == std::string::npos) return {};
  text.replace(colon + 1, end - colon - 1, one_of<std::string_view>(kTokens, random));
  return bytes_of(text);
}

}  // namespace carat::fuzz
