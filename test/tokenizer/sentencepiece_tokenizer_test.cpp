#include <chrono>
#include <cstring>
#include <map>

#include "test/support/catch.h"
#include "test/tokenizer/gguf_vocabulary.h"
#include "test/tokenizer/tiny_vocabulary.h"
#include "tokenizer/sentencepiece_model.h"
#include "tokenizer/utf8.h"

using namespace carat;
using carat::test::fixtures;
using carat::test::slurp_text;
using carat::test::TinyVocabulary;

namespace {

constexpr TokenId kFirstByte = 3, kFirstPiece = 259;  // of TinyVocabulary::sentencepiece

using Ids = std::vector<TokenId>;

// gguf.md, section 9.2, word for word and in cubic time.
Ids plain_reading(const Tokenizer& tokenizer, const Vocabulary& vocabulary, std::string_view text) {
  std::map<std::string, TokenId, std::less<>> ids;
  for (std::size_t i = 0; i < tokenizer.size(); ++i) {
    ids[std::string(vocabulary.pieces[i])] = static_cast<TokenId>(i);
  }
  std::vector<std::string> symbols{"\u2581"};
  while (!text.empty()) {
    const std::size_t length = utf8_step(text).length;
    symbols.push_back(text[0] == ' ' ? "\u2581" : std::string(text.substr(0, length)));
    text.remove_prefix(length);
  }
  for (;;) {
    std::size_t best = symbols.size();
    float best_score = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = ids.find(symbols[i] + symbols[i + 1]);
      if (found == ids.end()) continue;
      const float score = vocabulary.scores[static_cast<std::size_t>(found->second)];
      if (best == symbols.size() || score > best_score) {
        best = i;
        best_score = score;
      }
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Ids result;
  for (const std::string& symbol : symbols) {
    const auto found = ids.find(symbol);
    if (found != ids.end()) {
      result.push_back(found->second);
    } else {
      for (const char byte : symbol) result.push_back(kFirstByte + static_cast<unsigned char>(byte));
    }
  }
  return result;
}

}  // namespace

TEST_CASE("sentencepiece: the best score merges first, and the prefix is a space", "[sentencepiece]") {
  const auto tokenizer = TinyVocabulary::sentencepiece({"bc", "ab", "▁", "a", "b", "c"}).tokenizer();
  CHECK(tokenizer->encode("abc") == Ids{kFirstPiece + 2, kFirstPiece + 3, kFirstPiece});
  CHECK(tokenizer->encode("abc", false) == Ids{kFirstPiece + 3, kFirstPiece});
  CHECK(tokenizer->encode("ab", false) == Ids{kFirstPiece + 1});
  CHECK(tokenizer->encode("").empty());
  CHECK(tokenizer->decode(tokenizer->encode(" abc")) == " abc");
}

TEST_CASE("sentencepiece: no space goes in front where the file says so", "[sentencepiece]") {
  TinyVocabulary tiny = TinyVocabulary::sentencepiece({"▁", "a"});
  tiny.vocabulary.add_space_prefix = false;
  const auto tokenizer = tiny.tokenizer();
  CHECK(tokenizer->encode("a") == Ids{kFirstPiece + 1});
  CHECK(tokenizer->decode(tokenizer->encode(" a")) == " a");
}

TEST_CASE("sentencepiece: characters outside the vocabulary become their bytes", "[sentencepiece]") {
  const auto tokenizer = TinyVocabulary::sentencepiece({"▁", "a"}).tokenizer();
  CHECK(tokenizer->encode("é", false) == Ids{kFirstByte + 0xC3, kFirstByte + 0xA9});
  CHECK(tokenizer->piece(kFirstByte + 0xC3) == "\xC3");
  const std::string text = "a 🦙\n\t é  b";
  CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
  const std::string with_zero("a\0b", 3);
  CHECK(tokenizer->decode(tokenizer->encode(with_zero)) == with_zero);
}

TEST_CASE("sentencepiece: bytes that are not UTF-8 become U+FFFD", "[sentencepiece][robust]") {
  const auto tokenizer = TinyVocabulary::sentencepiece({"▁", "a"}).tokenizer();
  CHECK(tokenizer->decode(tokenizer->encode("a\xFFz")) == "a\uFFFDz");
  for (unsigned byte = 0x80; byte < 256; ++byte) {
    CHECK_FALSE(tokenizer->encode(std::string(3, static_cast<char>(byte))).empty());
  }
}

TEST_CASE("sentencepiece: text never becomes a control or the unknown token", "[sentencepiece][injection]") {
  TinyVocabulary tiny = TinyVocabulary::sentencepiece({"▁"});
  const TokenId turn = tiny.add("<start_of_turn>", PieceKind::user_defined);  // as early Gemma files have it
  const TokenId tag = tiny.add("<table>", PieceKind::user_defined);
  const TokenId pad = tiny.add("[PAD]", PieceKind::unknown);
  const auto tokenizer = tiny.tokenizer();
  const std::string text = "<unk><s></s><start_of_turn>[PAD]<table>";
  const Ids ids = tokenizer->encode(text);
  for (const TokenId id : {0, 1, 2, turn, pad}) CHECK(std::ranges::count(ids, id) == 0);
  CHECK(std::ranges::count(ids, tag) == 1);
  CHECK(tokenizer->decode(ids) == text);
  CHECK(tokenizer->encode_special("<s><start_of_turn></s>") == Ids{1, turn, 2});
  CHECK(tokenizer->piece(turn).empty());
  CHECK(tokenizer->is_control(turn));
}

TEST_CASE("sentencepiece: a space goes in front after a special token too", "[sentencepiece]") {
  const auto tokenizer = TinyVocabulary::sentencepiece({"▁a", "▁", "a"}).tokenizer();
  CHECK(tokenizer->encode_special("a</s>a") == Ids{kFirstPiece, 2, kFirstPiece});
}

TEST_CASE("sentencepiece: user-defined pieces match text with real spaces", "[sentencepiece]") {
  TinyVocabulary tiny = TinyVocabulary::sentencepiece({"▁", "a"});
  const TokenId run = tiny.add("    ", PieceKind::user_defined);
  CHECK(tiny.tokenizer()->encode("a    a", false) == Ids{kFirstPiece + 1, run, kFirstPiece + 1});
}

TEST_CASE("sentencepiece: odd vocabularies load", "[sentencepiece][robust]") {
  TinyVocabulary tiny = TinyVocabulary::sentencepiece({"▁", "a"});
  Ids expected{kFirstPiece, kFirstPiece + 1};
  SECTION("no kinds: the pieces tell") { tiny.vocabulary.kinds.clear(); }
  SECTION("no scores") { tiny.vocabulary.scores.clear(); }
  SECTION("an empty piece") { tiny.add("", PieceKind::normal); }
  SECTION("a piece twice: the last counts") { expected[1] = tiny.add("a", PieceKind::normal); }
  SECTION("no unknown token") {
    tiny.vocabulary.unk = -1;
    tiny.vocabulary.kinds[0] = PieceKind::normal;
  }
  SECTION("two unknown tokens") { tiny.add("<other>", PieceKind::unknown); }
  SECTION("a byte is missing") { tiny.vocabulary.kinds[kFirstByte] = PieceKind::normal; }
  CHECK(tiny.tokenizer()->encode("a") == expected);
}

TEST_CASE("sentencepiece: the library agrees with a plain reading of the algorithm", "[sentencepiece]") {
  CARAT_NEEDS_FIXTURES();
  const auto loaded = test::load_gguf(fixtures() / "vocab_gguf" / "ggml-vocab-llama-spm.gguf");
  const auto tokenizer = make_tokenizer(loaded.vocabulary);
  const std::string novel = slurp_text(fixtures() / "tokenizer_sentencepiece_tests" / "botchan.txt");
  // Long enough to be cut at line ends on its way to the library.
  const std::string text = novel.substr(0, 4000) + "\n\n\n \n" + std::string(1200, '\n') + " x\n";
  CHECK(tokenizer->encode(text) == plain_reading(*tokenizer, loaded.vocabulary, text));
  CHECK((tokenizer->decode(tokenizer->encode(novel)) == novel));
}

TEST_CASE("sentencepiece: a text alone has the ids that it has with the whole vocabulary loaded", "[sentencepiece]") {
  CARAT_NEEDS_FIXTURES();
  const auto loaded = test::load_gguf(fixtures() / "vocab_gguf" / "ggml-vocab-llama-spm.gguf");
  const auto whole = make_tokenizer(loaded.vocabulary);
  whole->encode("\xFF");  // what is not UTF-8 asks for all pieces
  const std::string novel = slurp_text(fixtures() / "tokenizer_sentencepiece_tests" / "botchan.txt");
  for (std::size_t length : {1, 2, 3, 7, 30, 400, 3000}) {
    for (std::size_t at = 0; at + length < novel.size(); at += novel.size() / 7) {
      const std::string text = novel.substr(at, valid_utf8_prefix(std::string_view(novel).substr(at, length)));
      CHECK(make_tokenizer(loaded.vocabulary)->encode(text) == whole->encode(text));
    }
  }
  const auto worn = make_tokenizer(loaded.vocabulary);  // comes to load the whole on the way
  for (std::size_t at = 0; at + 500 < 100'000; at += 500) {
    const std::string text = novel.substr(at, 500);
    CHECK(worn->encode(text) == whole->encode(text));
  }
}

TEST_CASE("sentencepiece: odd pieces count for a text alone as they do in the whole vocabulary", "[sentencepiece]") {
  TinyVocabulary tiny = TinyVocabulary::sentencepiece({"▁", "a", "b", "ab", "▁ab", "abcde", "<0x41>", "é"});
  tiny.add("a  b", PieceKind::user_defined);
  tiny.add("ab", PieceKind::normal);  // the last of its kind counts
  const TokenId control = tiny.add("b", PieceKind::control);
  tiny.add("ba", PieceKind::unused);
  const auto whole = tiny.tokenizer();
  whole->encode("\xFF");
  for (const char* text :
       {"a", "b", "ab", " ab", "a  b", "a  ba  b", "<0x41>", "ba", "abcdé", "c", "", "\n\n", "▁▁ab▁ "}) {
    INFO(text);
    CHECK(tiny.tokenizer()->encode(text) == whole->encode(text));
  }
  CHECK(std::ranges::count(whole->encode("b"), control) == 0);
}

TEST_CASE("sentencepiece: a model file is read as it is", "[sentencepiece]") {
  CARAT_NEEDS_FIXTURES();
  const std::string file = slurp_text(fixtures() / "tokenizer_mistral" / "tokenizer.model.v1");
  Vocabulary vocabulary;
  vocabulary.sentencepiece_model = file;
  const auto tokenizer = make_tokenizer(vocabulary);
  CHECK(tokenizer->size() == 32000);
  CHECK(tokenizer->bos() == 1);
  CHECK(tokenizer->eos() == 2);
  CHECK(tokenizer->add_space_prefix());

  // The golden text marks spaces, and one after each special token that encoding puts there itself.
  const auto sample = fixtures() / "tokenizer_mistral" / "samples" / "no_tools";
  std::string text = slurp_text(sample / "text_v1.txt");
  for (const auto& [from, to] : {std::pair("<s>▁", "<s>"), std::pair("</s>▁", "</s>"), std::pair("▁", " ")}) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos;) text.replace(at, std::strlen(from), to);
  }
  const auto golden = nlohmann::json::parse(slurp_text(sample / "tokens_v1.json"));
  CHECK(tokenizer->encode_special(text) == golden["tokens"].get<Ids>());
}

TEST_CASE("sentencepiece: unigram models load and give the text back", "[sentencepiece]") {
  CARAT_NEEDS_FIXTURES();
  const char* const name = GENERATE("test_model.model", "test_ja_model.model", "litert_sentencepiece.model");
  const std::string file = slurp_text(fixtures() / "tokenizer_sentencepiece_tests" / name);
  Vocabulary vocabulary;
  vocabulary.sentencepiece_model = file;
  const auto tokenizer = make_tokenizer(vocabulary);
  CHECK(tokenizer->decode(tokenizer->encode("Hello world.")) == "Hello world.");
}

TEST_CASE("sentencepiece: a model file that is cut short or flipped is refused or read, never a crash",
          "[sentencepiece][robust]") {
  SentencePieceModel model;
  model.type = SentencePieceModel::Type::bpe;
  model.pieces = {"<unk>", "<s>", "</s>", "a", "▁"};
  model.scores = {0, 0, 0, -1, -2};
  model.kinds = {PieceKind::unknown, PieceKind::control, PieceKind::control, PieceKind::normal, PieceKind::normal};
  const std::string whole = write_sentencepiece_model(model);
  const SentencePieceModel again = read_sentencepiece_model(whole);
  CHECK(again.pieces == model.pieces);
  CHECK(again.scores == model.scores);
  CHECK(again.kinds == model.kinds);
  CHECK(again.pad == -1);

  const auto try_to_load = [](const std::string& file) {
    Vocabulary vocabulary;
    vocabulary.sentencepiece_model = file;
    try {
      make_tokenizer(vocabulary)->encode("a b");
    } catch (const BadVocabulary&) {
    }
  };
  for (std::size_t n = 1; n < whole.size(); ++n) try_to_load(std::string(whole.data(), n));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    for (const unsigned flip : {0x01U, 0x08U, 0x80U, 0xFFU}) {
      std::string flipped = whole;
      flipped[n] = static_cast<char>(static_cast<unsigned char>(flipped[n]) ^ flip);
      try_to_load(flipped);
    }
  }
  CHECK_THROWS_WITH(read_sentencepiece_model(whole.substr(0, 5)), Catch::Contains("at byte 2: cut short"));
}

TEST_CASE("sentencepiece: a megabyte without a place to cut takes n log n time", "[sentencepiece][robust]") {
  const auto tokenizer = TinyVocabulary::sentencepiece({"▁▁", "aa", "▁", "a"}).tokenizer();
  const char unit = GENERATE('a', ' ', '\n', '1');
  const std::string text(1'000'000, unit);
  const auto start = std::chrono::steady_clock::now();
  CHECK((tokenizer->decode(tokenizer->encode(text)) == text));  // in brackets: a failure is not to print megabytes
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
}
