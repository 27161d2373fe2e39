#include "tokenizer/sentencepiece_library.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <bitset>
#include <cstring>
#include <deque>
#include <unordered_set>
#include <utility>

#include "tokenizer/escaped_space.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

// Which runs of up to four bytes a text has, and some more that fall on the same bits.
class ByteRuns {
 public:
  void add(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i)
      for (std::size_t n = 1; n <= std::min(kLongest, text.size() - i); ++n) bits_.set(bit(text.substr(i, n)));
  }

  // False only if `piece`, which is not empty, does not occur in the text.
  bool may_have(std::string_view piece) const {
    if (piece.size() < kLongest) return bits_.test(bit(piece));
    for (std::size_t i = 0; i + kLongest <= piece.size(); ++i)
      if (!bits_.test(bit(piece.substr(i, kLongest)))) return false;
    return true;
  }

 private:
  static constexpr std::size_t kLongest = 4;
  static constexpr unsigned kBits = 18;

  static std::size_t bit(std::string_view run) {
    std::uint32_t bytes = 0;
    std::memcpy(&bytes, run.data(), run.size());
    return bytes * 0x9E3779B1U >> (32U - kBits);
  }

  std::bitset<std::size_t{1} << kBits> bits_;
};

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

bool has_space(std::string_view piece) { return piece.find(' ') != std::string_view::npos; }

bool is_reserved(PieceKind kind) { return kind == PieceKind::unknown || kind == PieceKind::byte; }

}  // namespace

// Some pieces of the vocabulary, as the library wants them: one unknown piece, byte pieces all or none, no empty one.
struct SentencePieceLibrary::Selection {
  SentencePieceModel model;
  std::vector<TokenId> ids;           // of its pieces; -1: none of the vocabulary
  std::deque<std::string> respelled;  // pieces that the library wants spelled in another way

  void add(std::string_view piece, float score, PieceKind kind, TokenId id) {
    model.pieces.push_back(piece);
    model.scores.push_back(score);
    model.kinds.push_back(kind);
    ids.push_back(id);
  }

  // Of equal pieces the last one counts. Only for a selection that the library has refused.
  void drop_duplicates() {
    Selection kept;
    std::unordered_set<std::string_view> seen;
    for (std::size_t i = ids.size(); i-- > 0;)
      if (is_reserved(model.kinds[i]) || seen.insert(model.pieces[i]).second)
        kept.add(model.pieces[i], model.scores[i], model.kinds[i], ids[i]);
    model.pieces.assign(kept.model.pieces.rbegin(), kept.model.pieces.rend());
    model.scores.assign(kept.model.scores.rbegin(), kept.model.scores.rend());
    model.kinds.assign(kept.model.kinds.rbegin(), kept.model.kinds.rend());
    ids.assign(kept.ids.rbegin(), kept.ids.rend());
  }
};

// The library, ready to encode.
class SentencePieceLibrary::Loaded {
 public:
  explicit Loaded(Selection selection) : cuts_after_lines_(may_cut_after_lines(selection.model)) {
    auto status = processor_.LoadFromSerializedProto(write_sentencepiece_model(selection.model));
    if (!status.ok()) {
      selection.drop_duplicates();
      status = processor_.LoadFromSerializedProto(write_sentencepiece_model(selection.model));
    }
    if (!status.ok()) throw BadVocabulary("vocabulary: sentencepiece: " + std::string(status.message()));
    ids_ = std::move(selection.ids);
  }

  void encode(std::string_view text, std::vector<TokenId>& ids) const {
    std::vector<int> found;
    while (!text.empty()) {
      const std::string_view part = text.substr(0, cuts_after_lines_ ? cut_after_lines(text) : text.size());
      const auto status = processor_.Encode(part, &found);
      if (!status.ok()) throw std::runtime_error("tokenizer: sentencepiece: " + std::string(status.message()));
      for (const int index : found)
        if (const TokenId id = ids_[static_cast<std::size_t>(index)]; id >= 0) ids.push_back(id);
      text.remove_prefix(part.size());
    }
  }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  bool cuts_after_lines_;
  std::vector<TokenId> ids_;  // the vocabulary's, of the library's
};

SentencePieceLibrary::SentencePieceLibrary(const Vocabulary& vocabulary, SentencePieceModel rules)
    : vocabulary_(vocabulary), rules_(std::move(rules)) {
  rules_.byte_fallback = std::ranges::count(vocabulary_.kinds, PieceKind::byte) == 256;
  if (takes_parts()) {
    Loaded{select("")};  // refused now, if ever
  } else {
    whole();
  }
}

SentencePieceLibrary::~SentencePieceLibrary() = default;

// Scores of unigram pieces bear on unknown characters, and a text that is mapped to another is not known here.
bool SentencePieceLibrary::takes_parts() const {
  return rules_.type == SentencePieceModel::Type::bpe && !rules_.maps_characters && !rules_.remove_extra_whitespaces;
}

void SentencePieceLibrary::encode(std::string_view text, std::vector<TokenId>& ids) const {
  const std::size_t all = vocabulary_.pieces.size();
  const bool is_whole_due = !takes_parts() || loaded_pieces_ > all || valid_utf8_prefix(text) < text.size();
  if (is_whole_due) return whole().encode(text, ids);
  Selection selection = select(text);
  if ((loaded_pieces_ += selection.ids.size()) > all) return whole().encode(text, ids);
  Loaded(std::move(selection)).encode(text, ids);
}

const SentencePieceLibrary::Loaded& SentencePieceLibrary::whole() const {
  std::call_once(once_, [this] {
    whole_ = std::make_unique<const Loaded>(select_all());
    loaded_pieces_ = vocabulary_.pieces.size() + 1;  // from now on no part is
  });
  return *whole_;
}

SentencePieceLibrary::Selection SentencePieceLibrary::select_all() const {
  Selection selection{rules_, {}, {}};
  for (std::size_t i = 0; i < vocabulary_.pieces.size(); ++i) add(selection, i);
  finish(selection);
  return selection;
}

// What may occur in `text`, which is UTF-8, and what every text needs.
SentencePieceLibrary::Selection SentencePieceLibrary::select(std::string_view text) const {
  const auto runs = std::make_unique<ByteRuns>();
  runs->add(escape_spaces(text));
  Selection selection{rules_, {}, {}};
  for (std::size_t i = 0; i < vocabulary_.pieces.size(); ++i) {
    const PieceKind kind = vocabulary_.kinds[i];
    const std::string_view piece = vocabulary_.pieces[i];
    const bool is_always_there = is_reserved(kind) || static_cast<TokenId>(i) == vocabulary_.unk ||
                                 (kind == PieceKind::user_defined && has_space(piece));
    if (is_always_there || (!piece.empty() && runs->may_have(piece))) add(selection, i);
  }
  finish(selection);
  return selection;
}

// No text is to become a control token or an unknown one but `unk`: the library does not get to know of them.
void SentencePieceLibrary::add(Selection& selection, std::size_t index) const {
  std::string_view piece = vocabulary_.pieces[index];
  PieceKind kind = vocabulary_.kinds[index];
  const auto id = static_cast<TokenId>(index);
  if (id == vocabulary_.unk) {
    kind = PieceKind::unknown;
    if (piece.empty()) piece = "[UNKNOWN]";
  } else if (piece.empty() || kind == PieceKind::control || kind == PieceKind::unknown ||
             (kind == PieceKind::byte && !rules_.byte_fallback)) {
    return;
  }
  // GGUF writes these as they stand in text; the library compares them with text already escaped.
  if (kind == PieceKind::user_defined && has_space(piece))
    piece = selection.respelled.emplace_back(escape_spaces(piece));
  selection.add(piece, vocabulary_.scores[index], kind, id);
}

void SentencePieceLibrary::finish(Selection& selection) const {
  auto& kinds = selection.model.kinds;
  if (vocabulary_.unk < 0) selection.add("[UNKNOWN]", 0, PieceKind::unknown, -1);
  selection.model.unk = static_cast<TokenId>(std::ranges::find(kinds, PieceKind::unknown) - kinds.begin());
  selection.model.bos = selection.model.eos = selection.model.pad = -1;
}

}  // namespace carat
