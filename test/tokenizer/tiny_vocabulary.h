// Small vocabularies made by hand.
#pragma once
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/byte_level.h"
#include "tokenizer/tokenizer.h"

namespace carat::test {

// A vocabulary with the texts that it looks into. Every add_…() returns the new token's id.
class TinyVocabulary {
 public:
  // All bytes, ids 0 to 255 by value, and what they merge into, by rank: {"h", "e"} makes "he".
  static TinyVocabulary bpe(std::initializer_list<std::pair<const char*, const char*>> merges,
                            std::string pre = "gpt-2") {
    TinyVocabulary tiny;
    tiny.vocabulary.algorithm = Vocabulary::Algorithm::byte_bpe;
    tiny.vocabulary.pre = std::move(pre);
    for (unsigned byte = 0; byte < 256; ++byte) {
      tiny.add(std::string(byte_letter(static_cast<std::uint8_t>(byte))), PieceKind::normal);
    }
    for (const auto& [left, right] : merges) {
      tiny.add(std::string(left) + right, PieceKind::normal);
      tiny.vocabulary.merges.push_back(tiny.texts_->emplace_back(std::string(left) + " " + right));
    }
    return tiny;
  }

  // <unk>, <s>, </s>, then all bytes, ids 3 to 258 by value, then `pieces`, best first.
  static TinyVocabulary sentencepiece(std::initializer_list<const char*> pieces) {
    TinyVocabulary tiny;
    tiny.add("<unk>", PieceKind::unknown);
    tiny.vocabulary.bos = tiny.add("<s>", PieceKind::control);
    tiny.vocabulary.eos = tiny.add("</s>", PieceKind::control);
    tiny.vocabulary.unk = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      constexpr char kDigits[] = "0123456789ABCDEF";
      tiny.add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", PieceKind::byte);
    }
    for (const char* piece : pieces) tiny.add(piece, PieceKind::normal);
    return tiny;
  }

  TokenId add(std::string text, PieceKind kind) {
    const auto id = static_cast<TokenId>(vocabulary.pieces.size());
    vocabulary.pieces.push_back(texts_->emplace_back(std::move(text)));
    vocabulary.kinds.push_back(kind);
    vocabulary.scores.push_back(-static_cast<float>(id));
    return id;
  }

  // A tokenizer that keeps the texts alive.
  std::shared_ptr<const Tokenizer> tokenizer() const {
    return {make_tokenizer(vocabulary).release(), [texts = texts_](const Tokenizer* made) { delete made; }};
  }

  Vocabulary vocabulary;

 private:
  std::shared_ptr<std::deque<std::string>> texts_ = std::make_shared<std::deque<std::string>>();
};

}  // namespace carat::test
