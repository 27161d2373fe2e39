// SentencePiece: a vocabulary becomes a model file in memory, and the library does the rest.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <unordered_map>
#include <utility>

#include "tokenizer/algorithms.h"
#include "tokenizer/sentencepiece_model.h"

namespace carat {
namespace {

constexpr std::string_view kEscapedSpace = "\u2581";  // how pieces write a space

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Whether a user-defined piece of a model file is a control token for Hugging Face, and so in GGUF (gguf.md, section
// 8.1): both files of one model must read a text alike.
bool looks_special(std::string_view text) {
  constexpr std::array kMarkers =
      std::to_array<std::string_view>({"<pad>", "<mask>", "<2mass>", "[@BOS@]", "<start_of_image>", "<end_of_image>"});
  return std::ranges::find(kMarkers, text) != kMarkers.end() || text.starts_with("<unused") ||
         (text.starts_with("<|") && text.ends_with("|>"));
}

// The pieces and ids of a model file, where the vocabulary came as one.
void adopt(const SentencePieceModel& model, Vocabulary& vocabulary) {
  vocabulary.pieces = model.pieces;
  vocabulary.scores = model.scores;
  vocabulary.kinds = model.kinds;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    PieceKind& kind = vocabulary.kinds[i];
    if (kind == PieceKind::user_defined && looks_special(model.pieces[i])) kind = PieceKind::control;
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

// Strings that the library wants spelled in another way than the vocabulary does. Owns them until the model is written.
using Respelled = std::deque<std::string>;

// What the library insists on: one unknown piece, byte pieces all or none, no empty piece.
void satisfy_library(SentencePieceModel& model, Respelled& respelled) {
  model.byte_fallback = std::ranges::count(model.kinds, PieceKind::byte) == 256;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    std::string_view& piece = model.pieces[i];
    PieceKind& kind = model.kinds[i];
    const bool is_unk = static_cast<TokenId>(i) == model.unk;
    if (is_unk) kind = PieceKind::unknown;
    if (!is_unk && kind == PieceKind::unknown) kind = PieceKind::control;
    if (kind == PieceKind::byte && !model.byte_fallback) kind = PieceKind::control;
    if (piece.empty()) {
      piece = respelled.emplace_back("[EMPTY_" + std::to_string(i) + "]");
    } else if (kind == PieceKind::user_defined && piece.find(' ') != std::string_view::npos) {
      // GGUF writes these as they stand in text; the library compares them with text already escaped.
      std::string& escaped = respelled.emplace_back(piece);
      replace_all(escaped, " ", kEscapedSpace);
      piece = escaped;
    }
  }
  if (model.unk < 0) {  // an id outside the vocabulary, which encode_plain drops
    model.unk = static_cast<TokenId>(model.pieces.size());
    model.pieces.emplace_back("[UNKNOWN]");
    model.scores.push_back(0);
    model.kinds.push_back(PieceKind::unknown);
  }
}

// Takes all but the last of equal pieces out of the game. Only for a vocabulary that the library has refused.
void rename_duplicates(SentencePieceModel& model, Respelled& respelled) {
  std::unordered_map<std::string_view, std::size_t> last;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) last[model.pieces[i]] = i;
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    if (last[model.pieces[i]] == i) continue;
    model.pieces[i] = respelled.emplace_back("[DUPLICATE_" + std::to_string(i) + "]");
    if (model.kinds[i] != PieceKind::unknown) model.kinds[i] = PieceKind::control;
  }
}

// Whether a text may be cut after a run of line feeds without a change of ids: no piece lies across such a place.
bool may_cut_after_lines(const SentencePieceModel& model) {
  if (model.maps_characters || model.remove_extra_whitespaces) return false;
  return std::ranges::none_of(model.pieces, [](std::string_view piece) {
    const std::size_t line_end = piece.find('\n');
    return line_end != std::string_view::npos && piece.find_first_not_of('\n', line_end) != std::string_view::npos;
  });
}

// Where to cut `text` first, at least kEnough bytes from its beginning; its size if nowhere. The library's time per
// byte grows with the length of what it is given.
std::size_t cut_after_lines(std::string_view text) {
  constexpr std::size_t kEnough = 1024;
  const std::size_t line_end = text.find('\n', kEnough);
  if (line_end == std::string_view::npos) return text.size();
  return std::min(text.find_first_not_of('\n', line_end), text.size());
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  // `model` has the vocabulary's pieces.
  SentencePieceTokenizer(Vocabulary vocabulary, SentencePieceModel model) : Tokenizer(std::move(vocabulary)) {
    // A model that strips leading spaces would strip ours: there the library adds its own, to every stretch of text.
    adds_prefix_itself_ = model.remove_extra_whitespaces;
    model.add_dummy_prefix = adds_prefix_itself_ && add_space_prefix();
    cuts_after_lines_ = may_cut_after_lines(model);
    Respelled respelled;
    satisfy_library(model, respelled);
    if (processor_.LoadFromSerializedProto(write_sentencepiece_model(model)).ok()) return;
    rename_duplicates(model, respelled);
    const auto status = processor_.LoadFromSerializedProto(write_sentencepiece_model(model));
    if (!status.ok()) throw BadVocabulary("vocabulary: sentencepiece: " + std::string(status.message()));
  }

 private:
  void encode_plain(std::string_view text, bool at_start, std::vector<TokenId>& ids) const override {
    std::string with_prefix;
    if (at_start && add_space_prefix() && !adds_prefix_itself_) {
      with_prefix.reserve(text.size() + 1);
      with_prefix += ' ';
      with_prefix += text;
      text = with_prefix;
    }
    std::vector<TokenId> found;
    while (!text.empty()) {
      const std::string_view part = text.substr(0, cuts_after_lines_ ? cut_after_lines(text) : text.size());
      const auto status = processor_.Encode(part, &found);
      if (!status.ok()) throw std::runtime_error("tokenizer: sentencepiece: " + std::string(status.message()));
      std::ranges::copy_if(found, std::back_inserter(ids), [this](TokenId id) { return contains(id); });
      text.remove_prefix(part.size());
    }
  }

  std::string plain_piece(TokenId id) const override {
    std::string text(spelling(id));
    if (kind(id) == PieceKind::byte && text.size() == 6) {
      unsigned byte = 0;
      std::from_chars(text.data() + 3, text.data() + 5, byte, 16);
      return {static_cast<char>(byte)};
    }
    replace_all(text, kEscapedSpace, " ");
    return text;
  }

  sentencepiece::SentencePieceProcessor processor_;
  bool adds_prefix_itself_ = false;
  bool cuts_after_lines_ = false;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_sentencepiece_tokenizer(Vocabulary vocabulary) {
  SentencePieceModel model;
  if (!vocabulary.sentencepiece_model.empty()) {
    model = read_sentencepiece_model(vocabulary.sentencepiece_model);
    adopt(model, vocabulary);
  } else {
    model.type = SentencePieceModel::Type::bpe;
    model.remove_extra_whitespaces = false;
  }
  complete(vocabulary);
  if (!vocabulary.add_bos) vocabulary.add_bos = true;
  if (!vocabulary.add_eos) vocabulary.add_eos = false;
  if (!vocabulary.add_space_prefix) vocabulary.add_space_prefix = true;
  if (vocabulary.unk < 0) {
    const auto unknown = std::ranges::find(vocabulary.kinds, PieceKind::unknown);
    if (unknown != vocabulary.kinds.end()) vocabulary.unk = static_cast<TokenId>(unknown - vocabulary.kinds.begin());
  }
  model.pieces = vocabulary.pieces;
  model.scores = vocabulary.scores;
  model.kinds = vocabulary.kinds;
  model.unk = vocabulary.unk;
  model.bos = vocabulary.bos;
  model.eos = vocabulary.eos;
  model.pad = vocabulary.pad;
  return std::make_unique<SentencePieceTokenizer>(std::move(vocabulary), std::move(model));
}

}  // namespace carat
