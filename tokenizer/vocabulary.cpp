#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <array>

namespace carat {
namespace {

// Tokens that end a turn, a message or a text in the models that have them.
constexpr std::array kEnds = std::to_array<std::string_view>({
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "</s>",
    "<|end_of_text|>",
    "<eos>",
    "[EOT]",
    "[EOS]",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
});

// Tokens that chat_frame.h writes. Early Gemma files call theirs user-defined, which text would match.
constexpr std::array kTurnMarkers = std::to_array<std::string_view>({
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|endoftext|>",
});

template <std::size_t n>
bool contains(const std::array<std::string_view, n>& texts, std::string_view text) {
  return std::ranges::find(texts, text) != texts.end();
}

// "<0x0A>": how SentencePiece spells a byte.
bool names_byte(std::string_view text) { return text.size() == 6 && text.starts_with("<0x") && text.ends_with('>'); }

// A file without kinds (GGUF version 1) still means them.
void guess_kinds(Vocabulary& vocabulary) {
  vocabulary.kinds.assign(vocabulary.pieces.size(), PieceKind::normal);
  if (vocabulary.algorithm == Vocabulary::Algorithm::sentencepiece) {
    for (std::size_t i = 0; i < vocabulary.pieces.size(); ++i) {
      if (names_byte(vocabulary.pieces[i])) vocabulary.kinds[i] = PieceKind::byte;
    }
  }
  for (const TokenId id : {vocabulary.bos, vocabulary.eos, vocabulary.eot, vocabulary.eom}) {
    if (id >= 0) vocabulary.kinds[static_cast<std::size_t>(id)] = PieceKind::control;
  }
  if (vocabulary.unk >= 0) vocabulary.kinds[static_cast<std::size_t>(vocabulary.unk)] = PieceKind::unknown;
}

void check_length(std::string_view list, std::size_t length, std::size_t pieces) {
  if (length == pieces || length == 0) return;
  throw BadVocabulary("vocabulary: " + std::string(list) + ": " + std::to_string(length) + " entries for " +
                      std::to_string(pieces) + " tokens");
}

}  // namespace

void complete(Vocabulary& vocabulary) {
  const std::size_t size = vocabulary.pieces.size();
  if (size == 0) throw BadVocabulary("vocabulary: tokens: none");
  if (size > 1U << 30U)
    throw BadVocabulary("vocabulary: tokens: " + std::to_string(size) + ", more than ids can count");
  check_length("scores", vocabulary.scores.size(), size);
  check_length("token types", vocabulary.kinds.size(), size);
  vocabulary.scores.resize(size);

  const auto outside = [size](TokenId id) { return id < 0 || static_cast<std::size_t>(id) >= size; };
  for (TokenId* id :
       {&vocabulary.bos, &vocabulary.eos, &vocabulary.unk, &vocabulary.eot, &vocabulary.eom, &vocabulary.pad}) {
    if (outside(*id)) *id = -1;
  }
  std::erase_if(vocabulary.other_stops, outside);

  if (vocabulary.kinds.empty()) guess_kinds(vocabulary);
  for (std::size_t i = 0; i < size; ++i) {
    PieceKind& kind = vocabulary.kinds[i];
    if (kind == PieceKind::user_defined && contains(kTurnMarkers, vocabulary.pieces[i])) kind = PieceKind::control;
  }
}

std::vector<TokenId> ends_of_generation(const Vocabulary& vocabulary) {
  std::vector<TokenId> stops = vocabulary.other_stops;
  for (const TokenId id : {vocabulary.eos, vocabulary.eot, vocabulary.eom}) {
    if (id >= 0) stops.push_back(id);
  }
  for (std::size_t i = 0; i < vocabulary.pieces.size(); ++i) {
    if (vocabulary.kinds[i] == PieceKind::control && contains(kEnds, vocabulary.pieces[i])) {
      stops.push_back(static_cast<TokenId>(i));
    }
  }
  std::ranges::sort(stops);
  stops.erase(std::unique(stops.begin(), stops.end()), stops.end());  // clang 14 cannot do std::ranges::unique
  return stops;
}

}  // namespace carat
