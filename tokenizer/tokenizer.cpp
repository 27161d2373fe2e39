#include "tokenizer/tokenizer.h"

#include <utility>

#include "tokenizer/algorithms.h"

namespace carat {

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)), stops_(ends_of_generation(vocabulary_)) {
  // SentencePiece matches user-defined tokens itself, after it has normalised the text.
  const bool cuts_user_defined = vocabulary_.algorithm == Vocabulary::Algorithm::byte_bpe;
  for (std::size_t i = 0; i < size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const PieceKind kind = vocabulary_.kinds[i];
    if (kind == PieceKind::user_defined && cuts_user_defined) {
      matched_always_.add(vocabulary_.pieces[i], id);
      matched_on_call_.add(vocabulary_.pieces[i], id);
    } else if (kind == PieceKind::control || kind == PieceKind::unknown) {
      matched_on_call_.add(vocabulary_.pieces[i], id);
    }
  }
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool at_start) const {
  return encode_around(matched_always_, text, at_start);
}

std::vector<TokenId> Tokenizer::encode_special(std::string_view text, bool at_start) const {
  return encode_around(matched_on_call_, text, at_start);
}

std::vector<TokenId> Tokenizer::encode_around(const SpecialTokens& special, std::string_view text,
                                              bool at_start) const {
  std::vector<TokenId> ids;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto match = special.find(text, at);
    const std::size_t end = match ? match->begin : text.size();
    if (end > at) encode_plain(text.substr(at, end - at), at_start, ids);
    if (!match) break;
    ids.push_back(match->id);
    at = end + match->length;
    at_start = true;
  }
  return ids;
}

std::string Tokenizer::piece(TokenId id) const {
  if (!contains(id)) return {};
  switch (kind(id)) {
    case PieceKind::unknown:
    case PieceKind::control:
      return {};
    default:
      return plain_piece(id);
  }
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool at_start) const {
  std::string text;
  for (const TokenId id : ids) text += piece(id);
  if (at_start && add_space_prefix() && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

std::optional<TokenId> Tokenizer::id_of(std::string_view spelling) const {
  if (const auto special = matched_on_call_.id_of(spelling)) return special;
  for (std::size_t i = size(); i-- > 0;) {
    if (vocabulary_.pieces[i] == spelling) return static_cast<TokenId>(i);
  }
  return std::nullopt;
}

std::unique_ptr<const Tokenizer> make_tokenizer(Vocabulary vocabulary) {
  switch (vocabulary.algorithm) {
    case Vocabulary::Algorithm::sentencepiece:
      return make_sentencepiece_tokenizer(std::move(vocabulary));
    case Vocabulary::Algorithm::byte_bpe:
      return make_bpe_tokenizer(std::move(vocabulary));
  }
  throw BadVocabulary("vocabulary: algorithm: unknown");
}

}  // namespace carat
