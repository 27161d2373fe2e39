#include "tokenizer/vocabulary.h"

#include <set>

#include "test/support/catch.h"
#include "test/tokenizer/tiny_vocabulary.h"
#include "tokenizer/byte_level.h"

using namespace carat;
using carat::test::TinyVocabulary;

TEST_CASE("stops: ids of the file and control tokens known by text, not ordinary text alike", "[vocabulary]") {
  TinyVocabulary tiny = TinyVocabulary::bpe({{"a", "b"}});
  const TokenId html = tiny.add("</s>", PieceKind::user_defined);  // Gemma's strike-through
  const TokenId eos = tiny.add("<eos>", PieceKind::control);
  const TokenId turn = tiny.add("<end_of_turn>", PieceKind::control);
  const TokenId other = tiny.add("<start_of_turn>", PieceKind::control);
  tiny.vocabulary.eos = eos;
  tiny.vocabulary.other_stops = {other, eos};
  const auto tokenizer = tiny.tokenizer();
  CHECK(std::vector<TokenId>(tokenizer->stops().begin(), tokenizer->stops().end()) ==
        std::vector<TokenId>{eos, turn, other});
  CHECK(tokenizer->piece(html) == "</s>");
}

TEST_CASE("byte alphabet: every byte has its own letter, and the letter leads back", "[byte_level]") {
  std::set<std::string_view> letters;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto letter = byte_letter(static_cast<std::uint8_t>(byte));
    letters.insert(letter);
    CHECK(letter_byte(letter) == static_cast<std::uint8_t>(byte));
  }
  CHECK(letters.size() == 256);
  CHECK(byte_letter(' ') == "Ġ");
  CHECK(byte_letter('\n') == "Ċ");
  CHECK(byte_letter('A') == "A");
  CHECK_FALSE(letter_byte("▁").has_value());
  CHECK(bytes_of_letters("Ġa▁\xFF") == " a▁\xFF");
}
