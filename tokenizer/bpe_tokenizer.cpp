// Byte-level byte-pair encoding (gguf.md, section 9.3).
#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

#include "tokenizer/algorithms.h"
#include "tokenizer/bpe_tables.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

// Merges the letters of one word, lowest rank first. Its memory is kept from word to word.
class Merger {
 public:
  explicit Merger(const MergeTable& merges) : merges_(merges) {}

  // Calls `emit` with the parts of `word`, bytes in the byte alphabet, that are left when nothing merges any more.
  // A heap over a linked list: n log n, so that one word may be megabytes long.
  template <typename Emit>
  void merge(std::string_view word, const Emit& emit) {
    word_ = word;
    symbols_.clear();
    candidates_.clear();
    for (std::uint32_t at = 0; at < word.size();) {
      const auto length = static_cast<std::uint32_t>(utf8_step(word.substr(at)).length);
      const auto index = static_cast<std::uint32_t>(symbols_.size());
      symbols_.push_back({at, length, index - 1, index + 1});  // the first one's `previous` wraps around to kNone
      at += length;
    }
    symbols_.back().next = kNone;
    for (std::uint32_t i = 0; i + 1 < symbols_.size(); ++i) consider(i);
    std::ranges::make_heap(candidates_, std::greater<>());
    while (!candidates_.empty()) {
      std::ranges::pop_heap(candidates_, std::greater<>());
      const Candidate best = candidates_.back();
      candidates_.pop_back();
      if (is_current(best)) apply(best);
    }
    for (std::uint32_t i = 0; i != kNone; i = symbols_[i].next)
      emit(word.substr(symbols_[i].begin, symbols_[i].length));
  }

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  // A stretch of the word that is one symbol so far.
  struct Symbol {
    std::uint32_t begin, length;   // bytes; length 0: merged into the one before
    std::uint32_t previous, next;  // indices of its neighbours, or kNone
  };

  // Two neighbours that may merge. Ordered by rank, ties leftmost first.
  struct Candidate {
    std::int32_t rank;
    std::uint32_t left;  // index
    std::uint32_t left_length, right_length;

    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };

  // Adds the symbol `left` and the one after it to the candidates, at the end, if they ever merge.
  bool consider(std::uint32_t left) {
    const Symbol& first = symbols_[left];
    const Symbol& second = symbols_[first.next];
    const auto rank = merges_.rank(word_.substr(first.begin, first.length + second.length), first.length);
    if (rank) candidates_.push_back({*rank, left, first.length, second.length});
    return rank.has_value();
  }

  // Whether neither neighbour has merged with another meanwhile.
  bool is_current(const Candidate& candidate) const {
    const Symbol& left = symbols_[candidate.left];
    return left.length == candidate.left_length && left.next != kNone &&
           symbols_[left.next].length == candidate.right_length;
  }

  void apply(const Candidate& candidate) {
    Symbol& left = symbols_[candidate.left];
    Symbol& right = symbols_[left.next];
    left.length += right.length;
    left.next = right.next;
    right.length = 0;
    if (left.next != kNone) symbols_[left.next].previous = candidate.left;
    for (const std::uint32_t i : {left.previous, left.next == kNone ? kNone : candidate.left}) {
      if (i != kNone && consider(i)) std::ranges::push_heap(candidates_, std::greater<>());
    }
  }

  const MergeTable& merges_;
  std::string_view word_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;
};

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(Vocabulary vocabulary, const SplitRule& rule)
      : Tokenizer(std::move(vocabulary)),
        ignore_merges_(rule.ignore_merges),
        pretokenizer_(rule),
        pieces_(this->vocabulary().pieces),
        merges_(this->vocabulary().merges) {
    for (std::size_t i = 0; i < size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      // The others are matched by their text, or not at all: no word may become one.
      if (kind(id) == PieceKind::normal || kind(id) == PieceKind::unused) pieces_.add(id);
    }
  }

 private:
  void encode_plain(std::string_view text, bool /*at_start*/, std::vector<TokenId>& ids) const override {
    // A byte may be two in its alphabet.
    if (text.size() >= std::numeric_limits<std::uint32_t>::max() / 2) throw std::length_error("tokenizer: text: 2 GiB");
    Merger merger(merges_);
    std::string letters;
    const auto encode_word = [&](std::string_view word) {
      letters.clear();
      append_letters(word, letters);
      const auto whole = ignore_merges_ ? pieces_.find(letters) : std::nullopt;
      if (whole) {
        ids.push_back(*whole);
      } else {
        merger.merge(letters, [&](std::string_view symbol) { emit(symbol, ids); });
      }
    };
    while (!text.empty()) {
      const std::size_t valid = valid_utf8_prefix(text);
      if (valid > 0) std::ranges::for_each(pretokenizer_.split(text.substr(0, valid)), encode_word);
      text.remove_prefix(valid);
      if (text.empty()) break;
      const std::size_t invalid = utf8_step(text).length;
      encode_word(text.substr(0, invalid));
      text.remove_prefix(invalid);
    }
  }

  // The token of `symbol`; without one, the tokens of its letters, as far as there are any.
  void emit(std::string_view symbol, std::vector<TokenId>& ids) const {
    if (const auto id = pieces_.find(symbol)) {
      ids.push_back(*id);
      return;
    }
    while (!symbol.empty()) {
      const std::size_t length = utf8_step(symbol).length;
      if (const auto id = pieces_.find(symbol.substr(0, length))) ids.push_back(*id);
      symbol.remove_prefix(length);
    }
  }

  std::string plain_piece(TokenId id) const override {
    const std::string_view text = spelling(id);
    return kind(id) == PieceKind::user_defined ? std::string(text) : bytes_of_letters(text);
  }

  bool ignore_merges_;
  Pretokenizer pretokenizer_;
  PieceTable pieces_;
  MergeTable merges_;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_bpe_tokenizer(Vocabulary vocabulary) {
  complete(vocabulary);
  if (vocabulary.merges.empty()) throw BadVocabulary("vocabulary: merges: none");
  const SplitRule& rule = split_rule(vocabulary.pre);
  if (!vocabulary.add_bos) vocabulary.add_bos = rule.add_bos;
  if (!vocabulary.add_eos) vocabulary.add_eos = false;
  vocabulary.add_space_prefix = false;
  return std::make_unique<BpeTokenizer>(std::move(vocabulary), rule);
}

}  // namespace carat
