// SentencePiece: what a vocabulary leaves out is filled in, and the library does the rest.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "tokenizer/algorithms.h"
#include "tokenizer/escaped_space.h"
#include "tokenizer/sentencepiece_library.h"

namespace carat {
namespace {

// Whether a user-defined piece of a model file is a control token for Hugging Face, and so in GGUF (gguf.md, section
// 8.1): both files of one model must read a text alike.
bool looks_special(std::string_view text) {
  constexpr std::array kMarkers =
      std::to_array<std::string_view>({"<pad>", "<mask>", "<2mass>", "[@BOS@]", "<start_of_image>", "<end_of_image>"});
  return std::ranges::find(kMarkers, text) != kMarkers.end() || (text.starts_with("<unused") && text.ends_with('>')) ||
         (text.starts_with("<|") && text.ends_with("|>"));
}

// Takes the pieces and ids out of a model file, where the vocabulary came as one.
void adopt(SentencePieceModel& model, Vocabulary& vocabulary) {
  vocabulary.pieces = std::exchange(model.pieces, {});
  vocabulary.scores = std::exchange(model.scores, {});
  vocabulary.kinds = std::exchange(model.kinds, {});
  for (std::size_t i = 0; i < vocabulary.pieces.size(); ++i) {
    PieceKind& kind = vocabulary.kinds[i];
    if (kind == PieceKind::user_defined && looks_special(vocabulary.pieces[i])) kind = PieceKind::control;
  }
  const auto fill = [](TokenId& id, TokenId from_model) {
    if (id < 0) id = from_model;
  };
  fill(vocabulary.bos, model.bos);
  fill(vocabulary.eos, model.eos);
  fill(vocabulary.unk, model.unk);
  fill(vocabulary.pad, model.pad);
  if (!vocabulary.add_space_prefix) vocabulary.add_space_prefix = model.add_dummy_prefix;
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  // `rules` is the model without its pieces.
  SentencePieceTokenizer(Vocabulary made, SentencePieceModel rules)
      : Tokenizer(std::move(made)),
        // A model that strips leading spaces would strip ours: there the library adds its own, to every stretch.
        library_adds_prefix_(rules.remove_extra_whitespaces),
        library_(vocabulary(), with_prefix(std::move(rules), rules.remove_extra_whitespaces && add_space_prefix())) {}

 private:
  static SentencePieceModel with_prefix(SentencePieceModel rules, bool prefix) {
    rules.add_dummy_prefix = prefix;
    return rules;
  }

  void encode_plain(std::string_view text, bool at_start, std::vector<TokenId>& ids) const override {
    std::string with_space;
    if (at_start && add_space_prefix() && !library_adds_prefix_) {
      with_space.reserve(text.size() + 1);
      with_space += ' ';
      with_space += text;
      text = with_space;
    }
    library_.encode(text, ids);
  }

  std::string plain_piece(TokenId id) const override {
    const std::string_view text = spelling(id);
    if (kind(id) == PieceKind::byte && text.size() == 6) {
      unsigned byte = 0;
      std::from_chars(text.data() + 3, text.data() + 5, byte, 16);
      return {static_cast<char>(byte)};
    }
    return unescape_spaces(text);
  }

  bool library_adds_prefix_;
  SentencePieceLibrary library_;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_sentencepiece_tokenizer(Vocabulary vocabulary) {
  SentencePieceModel rules;
  if (!vocabulary.sentencepiece_model.empty()) {
    rules = read_sentencepiece_model(vocabulary.sentencepiece_model);
    adopt(rules, vocabulary);
  } else {
    rules.type = SentencePieceModel::Type::bpe;
    rules.remove_extra_whitespaces = false;
  }
  complete(vocabulary);
  if (!vocabulary.add_bos) vocabulary.add_bos = true;
  if (!vocabulary.add_eos) vocabulary.add_eos = false;
  if (!vocabulary.add_space_prefix) vocabulary.add_space_prefix = true;
  if (vocabulary.unk < 0) {
    const auto unknown = std::ranges::find(vocabulary.kinds, PieceKind::unknown);
    if (unknown != vocabulary.kinds.end()) vocabulary.unk = static_cast<TokenId>(unknown - vocabulary.kinds.begin());
  }
  return std::make_unique<SentencePieceTokenizer>(std::move(vocabulary), std::move(rules));
}

}  // namespace carat
