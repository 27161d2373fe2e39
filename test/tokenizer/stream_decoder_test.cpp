#include "tokenizer/stream_decoder.h"

#include "test/support/catch.h"
#include "test/tokenizer/tiny_vocabulary.h"
#include "tokenizer/utf8.h"

using namespace carat;
using carat::test::TinyVocabulary;

namespace {

// What comes out if `bytes` go in one by one.
std::string one_by_one(StreamDecoder& decoder, std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    const std::string part = decoder.push_bytes({&byte, 1});
    CHECK(valid_utf8_prefix(part) == part.size());
    text += part;
  }
  return text + decoder.flush();
}

}  // namespace

TEST_CASE("stream decoder: text split at any two bytes comes out whole", "[stream]") {
  const auto tokenizer = TinyVocabulary::bpe({{"a", "b"}}).tokenizer();
  const std::string text = "é 🦙 😶‍🌫️ ✅\u0000ab ￿";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      StreamDecoder decoder(*tokenizer);
      std::string out;
      for (const auto& part : {text.substr(0, first), text.substr(first, second - first), text.substr(second)}) {
        const std::string now = decoder.push_bytes(part);
        CHECK(valid_utf8_prefix(now) == now.size());
        out += now;
      }
      CHECK(out == text);
      CHECK(decoder.flush().empty());
      CHECK_FALSE(decoder.lossy());
    }
  }
}

TEST_CASE("stream decoder: what is not UTF-8 becomes U+FFFD and is remembered", "[stream]") {
  const auto tokenizer = TinyVocabulary::bpe({{"a", "b"}}).tokenizer();
  const std::pair<std::string, std::string> cases[] = {
      {"\xFF", "\uFFFD"},
      {"a\x80z", "a\uFFFDz"},
      {"\xE2\x96", "\uFFFD"},                            // cut short
      {"\xE2\x96z", "\uFFFDz"},                          // one replacement for the beginning
      {"\xC0\xAF", "\uFFFD\uFFFD"},                      // overlong
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},            // a surrogate
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
      {"\xF0\x9F\xA6\xF0\x9F\xA6\x99", "\uFFFD🦙"},
  };
  for (const auto& [bytes, text] : cases) {
    StreamDecoder decoder(*tokenizer);
    CHECK(one_by_one(decoder, bytes) == text);
    CHECK(decoder.lossy());
    StreamDecoder at_once(*tokenizer);
    const std::string start = at_once.push_bytes(bytes);
    CHECK(start + at_once.flush() == text);
  }
}

TEST_CASE("stream decoder: the space that encoding put in front is dropped, once", "[stream]") {
  TinyVocabulary tiny = TinyVocabulary::sentencepiece({"▁a", "▁"});
  const auto tokenizer = tiny.tokenizer();
  const TokenId a = *tokenizer->id_of("▁a");
  StreamDecoder decoder(*tokenizer);
  CHECK(decoder.push(tokenizer->bos()).empty());  // a control token is no piece of the text
  CHECK(decoder.push(a) == "a");
  CHECK(decoder.push(a) == " a");

  StreamDecoder continues(*tokenizer, false);
  CHECK(continues.push(a) == " a");

  tiny.vocabulary.add_space_prefix = false;
  const auto without = tiny.tokenizer();
  StreamDecoder literal(*without);
  CHECK(literal.push(a) == " a");
}

TEST_CASE("stream decoder: byte tokens join to a code point", "[stream]") {
  const auto tokenizer = TinyVocabulary::sentencepiece({"▁"}).tokenizer();
  StreamDecoder decoder(*tokenizer);
  std::string text;
  for (const TokenId id : tokenizer->encode("🦙")) text += decoder.push(id);
  CHECK(text == "🦙");
  CHECK_FALSE(decoder.lossy());
}
