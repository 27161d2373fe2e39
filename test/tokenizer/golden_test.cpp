// Ids that other programs made of the same texts with the same vocabularies.
#include <sstream>

#include "test/support/catch.h"
#include "test/tokenizer/gguf_vocabulary.h"

using namespace carat;
using namespace carat::test;

namespace {

// The texts of a .inp file and the ids of a .out file, pair by pair.
std::vector<std::pair<std::string, std::vector<TokenId>>> read_pairs(const std::string& name) {
  const auto beside = (fixtures() / "vocab_gguf" / ("ggml-vocab-" + name + ".gguf")).string();
  const std::string texts = slurp_text(beside + ".inp");
  std::istringstream lines(slurp_text(beside + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::pair<std::string, std::vector<TokenId>>> pairs;
  for (std::size_t at = 0; at < texts.size();) {
    const std::size_t end = std::min(texts.find(separator, at), texts.size());
    std::string line;
    std::getline(lines, line);
    std::istringstream numbers(line);
    std::vector<TokenId> ids;
    for (TokenId id = 0; numbers >> id;) ids.push_back(id);
    pairs.emplace_back(texts.substr(at, end - at), ids);
    at = end + separator.size();
  }
  return pairs;
}

// Reading the ids back gives the text, with the vocabulary's own space prefix taken off.
void check_pairs(const std::string& name, const Tokenizer& tokenizer) {
  const auto pairs = read_pairs(name);
  CHECK(pairs.size() >= 46);
  for (const auto& [text, ids] : pairs) {
    INFO(name << ": " << text);
    CHECK(tokenizer.encode(text) == ids);
    CHECK(tokenizer.decode(ids) == text);
  }
}

void check_golden(const std::string& name, const Tokenizer& tokenizer) {
  const auto golden = nlohmann::json::parse(slurp_text(fixtures() / "golden_tokens" / (name + ".json")));
  CHECK(golden["cases"].size() >= 25);
  for (const auto& one : golden["cases"]) {
    const std::string text = one["text"];
    std::vector<TokenId> ids = tokenizer.encode_special(text);
    if (tokenizer.add_bos()) ids.insert(ids.begin(), tokenizer.bos());
    INFO(name << ": " << text);
    CHECK(ids == one["ids"].get<std::vector<TokenId>>());
  }
}

}  // namespace

TEST_CASE("golden: every pair of llama.cpp's vocabularies comes out the same", "[golden]") {
  CARAT_NEEDS_FIXTURES();
  const std::string name =
      GENERATE("llama-spm", "phi-3", "gpt-2", "mpt", "falcon", "starcoder", "refact", "deepseek-coder");
  const LoadedVocabulary loaded = load_gguf(fixtures() / "vocab_gguf" / ("ggml-vocab-" + name + ".gguf"));
  check_pairs(name, *make_tokenizer(loaded.vocabulary));
}

TEST_CASE("golden: every pair of qwen2 comes out the same with the published vocabulary", "[golden]") {
  CARAT_NEEDS_FIXTURES();
  const LoadedVocabulary loaded = load_qwen2();
  check_pairs("qwen2", *make_tokenizer(loaded.vocabulary));
}

TEST_CASE("golden: Hugging Face's ids of llama2, gpt2 and qwen2 come out the same", "[golden]") {
  CARAT_NEEDS_FIXTURES();
  const std::string name = GENERATE("llama2", "gpt2", "qwen2");
  const LoadedVocabulary loaded =
      name == "qwen2" ? load_qwen2()
                      : load_gguf(fixtures() / "vocab_gguf" /
                                  (name == "llama2" ? "ggml-vocab-llama-spm.gguf" : "ggml-vocab-gpt-2.gguf"));
  check_golden(name, *make_tokenizer(loaded.vocabulary));
}

TEST_CASE("golden: a vocabulary whose split rule is unknown is refused by name", "[golden]") {
  CARAT_NEEDS_FIXTURES();
  const LoadedVocabulary loaded = load_gguf(fixtures() / "vocab_gguf" / "ggml-vocab-deepseek-llm.gguf");
  CHECK_THROWS_WITH(make_tokenizer(loaded.vocabulary),
                    Catch::Contains("\"deepseek-llm\"") && Catch::Contains("known are default, gpt-2"));
}
