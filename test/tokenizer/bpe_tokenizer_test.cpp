#include <chrono>

#include "test/support/catch.h"
#include "test/tokenizer/tiny_vocabulary.h"

using namespace carat;
using carat::test::TinyVocabulary;

namespace {

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> pieces;
  for (const TokenId id : tokenizer.encode(text)) pieces.push_back(tokenizer.piece(id));
  return pieces;
}

using Pieces = std::vector<std::string>;

// On a busy machine with sanitizers; quadratic time would be hours.
constexpr std::chrono::seconds kLinearTime{60};

}  // namespace

TEST_CASE("bpe: the lowest rank merges first, wherever it stands", "[bpe]") {
  const auto tokenizer = TinyVocabulary::bpe({{"b", "c"}, {"a", "b"}}).tokenizer();
  CHECK(pieces_of(*tokenizer, "abc") == Pieces{"a", "bc"});
  CHECK(pieces_of(*tokenizer, "ab") == Pieces{"ab"});
}

TEST_CASE("bpe: of equal ranks the leftmost merges first", "[bpe]") {
  const auto tokenizer = TinyVocabulary::bpe({{"a", "a"}}).tokenizer();
  CHECK(pieces_of(*tokenizer, "aaa") == Pieces{"aa", "a"});
  CHECK(pieces_of(*tokenizer, "aaaaa") == Pieces{"aa", "aa", "a"});
}

TEST_CASE("bpe: merges chain, and only listed pairs merge", "[bpe]") {
  const auto tokenizer = TinyVocabulary::bpe({{"l", "l"}, {"h", "e"}, {"he", "ll"}, {"hell", "o"}}).tokenizer();
  CHECK(pieces_of(*tokenizer, "hello") == Pieces{"hello"});
  // "hel" + "lo" would also spell the token, but is no merge.
  CHECK(pieces_of(*tokenizer, "helo") == Pieces{"he", "l", "o"});
}

TEST_CASE("bpe: the first of two equal merges counts", "[bpe]") {
  const auto tokenizer = TinyVocabulary::bpe({{"a", "b"}, {"b", "c"}, {"a", "b"}}).tokenizer();
  CHECK(pieces_of(*tokenizer, "abc") == Pieces{"ab", "c"});
}

TEST_CASE("bpe: what merges into no token is emitted letter by letter", "[bpe]") {
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}});
  tiny.vocabulary.kinds.back() = PieceKind::control;  // "ab" is a token no more
  CHECK(pieces_of(*tiny.tokenizer(), "ab") == Pieces{"a", "b"});
}

TEST_CASE("bpe: a llama-bpe word that is a token needs no merges", "[bpe]") {
  for (const bool ignores : {true, false}) {
    TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}}, ignores ? "llama-bpe" : "gpt-2");
    tiny.add("xyz", PieceKind::normal);
    CHECK(pieces_of(*tiny.tokenizer(), "xyz").size() == (ignores ? 1 : 3));
    CHECK(pieces_of(*tiny.tokenizer(), "ab") == Pieces{"ab"});
  }
}

TEST_CASE("bpe: llama-bpe begins with BOS unless the file says otherwise", "[bpe]") {
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}}, "llama-bpe");
  CHECK_FALSE(tiny.tokenizer()->add_bos());  // there is none
  tiny.vocabulary.bos = tiny.add("<|begin_of_text|>", PieceKind::control);
  CHECK(tiny.tokenizer()->add_bos());
  tiny.vocabulary.add_bos = false;
  CHECK_FALSE(tiny.tokenizer()->add_bos());
}

TEST_CASE("bpe: every byte string survives, UTF-8 or not", "[bpe][robust]") {
  const auto tokenizer = TinyVocabulary::bpe({{"a", "a"}}).tokenizer();
  for (unsigned first = 0; first < 256; ++first) {
    for (const unsigned second : {0x00U, 0x20U, 0x61U, 0x80U, 0xBFU, 0xC3U, 0xE2U, 0xF0U, 0xFFU}) {
      const std::string text = {'a', static_cast<char>(first), static_cast<char>(second), 'a', 'a'};
      CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
      CHECK(tokenizer->decode(tokenizer->encode(text.substr(0, 2))) == text.substr(0, 2));
    }
  }
  CHECK(tokenizer->encode("").empty());
}

TEST_CASE("bpe: text never becomes a control token, but a user-defined one", "[bpe][injection]") {
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}});
  const TokenId end = tiny.add("<|im_end|>", PieceKind::control);
  const TokenId think = tiny.add("<think>", PieceKind::user_defined);
  const auto tokenizer = tiny.tokenizer();
  const std::string text = "ab<|im_end|>ab<think>";

  const auto plain = tokenizer->encode(text);
  CHECK(std::ranges::count(plain, end) == 0);
  CHECK(std::ranges::count(plain, think) == 1);
  CHECK(tokenizer->decode(plain) == text);

  const auto special = tokenizer->encode_special(text);
  CHECK(std::ranges::count(special, end) == 1);
  CHECK(tokenizer->decode(special) == "abab<think>");
  CHECK(tokenizer->spelling(end) == "<|im_end|>");
  CHECK(tokenizer->id_of("<|im_end|>") == end);
  CHECK(tokenizer->is_control(end));
  CHECK_FALSE(tokenizer->is_control(think));
}

TEST_CASE("bpe: of special tokens the leftmost matches, then the longest", "[bpe]") {
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}});
  const TokenId two = tiny.add("  ", PieceKind::user_defined);
  const TokenId three = tiny.add("   ", PieceKind::user_defined);
  CHECK(tiny.tokenizer()->encode("     ") == std::vector<TokenId>{three, two});
}

TEST_CASE("bpe: bad vocabularies are refused", "[bpe][robust]") {
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}});
  SECTION("no merges") { tiny.vocabulary.merges.clear(); }
  SECTION("a merge of one text") { tiny.vocabulary.merges = {"ab"}; }
  SECTION("an empty merge") { tiny.vocabulary.merges = {""}; }
  SECTION("a merge with nothing") { tiny.vocabulary.merges = {"a "}; }
  SECTION("no tokens") { tiny.vocabulary.pieces.clear(); }
  SECTION("too few kinds") { tiny.vocabulary.kinds.pop_back(); }
  SECTION("unknown split rule") { tiny.vocabulary.pre = "no-such-rule"; }
  CHECK_THROWS_AS(tiny.tokenizer(), BadVocabulary);
}

TEST_CASE("bpe: ids outside the vocabulary are nothing, not errors", "[bpe][robust]") {
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}});
  tiny.vocabulary.eos = 1'000'000;
  tiny.vocabulary.other_stops = {-7, 5, 257};
  const auto tokenizer = tiny.tokenizer();
  CHECK(tokenizer->eos() == -1);
  CHECK(std::vector<TokenId>(tokenizer->stops().begin(), tokenizer->stops().end()) == std::vector<TokenId>{5});
  CHECK(tokenizer->piece(-1).empty());
  CHECK(tokenizer->piece(257).empty());
  CHECK(tokenizer->spelling(257).empty());
  CHECK_FALSE(tokenizer->is_control(257));
}

TEST_CASE("bpe: a megabyte without a place to split takes linear time", "[bpe][robust]") {
  const char* const pre = GENERATE("gpt-2", "llama-bpe", "qwen2", "default", "deepseek-coder");
  const char* const unit = GENERATE("a", " ", "\n", "1", "!", " \n", "\xC3\xA9", "<");
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "a"}, {"aa", "aa"}, {"Ġ", "Ġ"}}, pre);
  tiny.add("<|im_end|>", PieceKind::control);
  const auto tokenizer = tiny.tokenizer();
  std::string text;
  while (text.size() < 1'000'000) text += unit;
  INFO(pre << ": " << unit);
  const auto start = std::chrono::steady_clock::now();
  CHECK((tokenizer->decode(tokenizer->encode(text)) == text));  // in brackets: a failure is not to print megabytes
  CHECK((tokenizer->decode(tokenizer->encode_special(text + "x")) == text + "x"));
  CHECK(std::chrono::steady_clock::now() - start < kLinearTime);
}
