// SentencePiece's library, loaded with no more of a vocabulary than a text needs.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/sentencepiece_model.h"

namespace carat {

// Loading all of 262144 pieces takes a fifth of a second and 60 MB. Byte-pair encoding, however, never makes a piece
// that does not occur in the text: a text alone is encoded with those that may, the library being told of no others.
// Once such loads have added up to the whole, the whole is loaded and serves from then on. Any number of threads may
// encode at a time.
class SentencePieceLibrary {
 public:
  // `vocabulary`, complete, outlives this. `rules` is the model without its pieces. Throws BadVocabulary.
  SentencePieceLibrary(const Vocabulary& vocabulary, SentencePieceModel rules);
  ~SentencePieceLibrary();

  // Appends the ids of `text`. Throws BadVocabulary.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  struct Selection;
  class Loaded;

  bool takes_parts() const;
  Selection select(std::string_view text) const;
  Selection select_all() const;
  void add(Selection& selection, std::size_t index) const;
  void finish(Selection& selection) const;
  const Loaded& whole() const;

  const Vocabulary& vocabulary_;
  SentencePieceModel rules_;
  mutable std::once_flag once_;
  mutable std::unique_ptr<const Loaded> whole_;
  mutable std::atomic<std::size_t> loaded_pieces_ = 0;  // by texts alone
};

}  // namespace carat
