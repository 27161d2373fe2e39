#include "tokenizer/pretokenize.h"

#include <nlohmann/json.hpp>

#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "tokenizer/vocabulary.h"

using namespace carat;
using namespace carat::test;

namespace {

using Words = std::vector<std::string>;

Words split(std::string_view rule, std::string_view text) {
  Words words;
  for (const std::string_view word : Pretokenizer(split_rule(rule)).split(text)) words.emplace_back(word);
  return words;
}

}  // namespace

TEST_CASE("pretokenize: llama-bpe splits as Llama 3.2's own tokenizer does", "[pretokenize]") {
  CARAT_NEEDS_FIXTURES();
  const auto golden = nlohmann::json::parse(slurp_text(fixtures() / "golden_tokens" / "llama3_ollama.json"));
  REQUIRE_FALSE(golden["pretokenizer_splits"].empty());
  for (const auto& one : golden["pretokenizer_splits"]) {
    const std::string text = one["text"];
    INFO(text);
    CHECK(split("llama-bpe", text) == one["pieces"].get<Words>());
  }
}

TEST_CASE("pretokenize: each rule treats digits, contractions and line feeds its own way", "[pretokenize]") {
  CHECK(split("gpt-2", "I'm 1234 OK") == Words{"I", "'m", " 1234", " OK"});
  CHECK(split("gpt-2", "I'M") == Words{"I", "'", "M"});
  CHECK(split("llama-bpe", "I'M 1234") == Words{"I", "'M", " ", "123", "4"});
  CHECK(split("qwen2", "I'M 1234") == Words{"I", "'M", " ", "1", "2", "3", "4"});
  CHECK(split("qwen2", "a\n\n  b") == Words{"a", "\n\n", " ", " b"});
  CHECK(split("gpt-2", "a\n\n  b") == Words{"a", "\n\n ", " b"});
  CHECK(split("llama-bpe", "x);\n\ny") == Words{"x", ");\n\n", "y"});
  CHECK(split("default", "12345 a-b") == Words{"123", "45", " a", "-", "b"});
}

TEST_CASE("pretokenize: white space is Unicode's, without U+180E", "[pretokenize]") {
  CHECK(split("qwen2", "a\u3000\n\u00A0\u2003b") == Words{"a", "\u3000\n", "\u00A0", "\u2003b"});
  CHECK(split("gpt-2", "a\u180E\u180Eb") == Words{"a", "\u180E\u180E", "b"});
}

TEST_CASE("pretokenize: words are the text, in order and without gaps", "[pretokenize]") {
  const std::string text =
      "  The 3 llamas\t🦙🦙 don't\r\n\r\n eat $4.50 of «hay»…\u0301 नमस्ते 12345\n ";
  for (const char* rule : {"default", "gpt-2", "llama-bpe", "qwen2", "falcon", "starcoder", "deepseek-coder"}) {
    std::string joined;
    for (const std::string& word : split(rule, text)) {
      CHECK_FALSE(word.empty());
      joined += word;
    }
    CHECK(joined == text);
  }
  CHECK(split("gpt-2", "").empty());
}

TEST_CASE("pretokenize: an unknown rule is refused with the known ones, a missing one is the default",
          "[pretokenize]") {
  CHECK_THROWS_WITH(split_rule("tekken"), Catch::Contains("\"tekken\"") && Catch::Contains("llama-bpe") &&
                                              Catch::Contains("qwen2") && Catch::Contains("deepseek-coder"));
  CHECK(&split_rule("") == &split_rule("default"));
}
