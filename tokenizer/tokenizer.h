// Text to token ids and back.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/special_tokens.h"
#include "tokenizer/vocabulary.h"

namespace carat {

// Immutable once made; any number of threads may use one at a time. Looks into the file that its vocabulary came from.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // The ids of `text` as a user types it: no spelling of a control token, nor of the unknown token, is recognised in it
  // (user-defined tokens are, as their formats say), and no BOS or EOS is added. `at_start`: `text` begins the whole
  // text or follows a special token, where some vocabularies put a space in front of it. Bytes that are not UTF-8
  // become byte tokens or U+FFFD.
  std::vector<TokenId> encode(std::string_view text, bool at_start = true) const;

  // The same for a text in which "<eos>" means the token: for inspection, never for what a user typed.
  std::vector<TokenId> encode_special(std::string_view text, bool at_start = true) const;

  // The bytes that a token stands for in output, perhaps only a part of a code point; none for control and unknown
  // tokens and for ids outside the vocabulary (the output matrix of a model may have more rows than it has tokens).
  std::string piece(TokenId id) const;

  // The bytes of many tokens, without the space that encode() puts in front if `at_start`.
  std::string decode(std::span<const TokenId> ids, bool at_start = true) const;

  // The token as the vocabulary spells it, "<eos>" or "▁the"; empty outside the vocabulary.
  std::string_view spelling(TokenId id) const { return contains(id) ? vocabulary_.pieces[index(id)] : ""; }

  // The token with that spelling, if there is one: a special one if several have it, else the last. Slow for ordinary
  // tokens, which it searches one by one.
  std::optional<TokenId> id_of(std::string_view spelling) const;

  std::size_t size() const { return vocabulary_.pieces.size(); }
  bool contains(TokenId id) const { return id >= 0 && index(id) < size(); }
  bool is_control(TokenId id) const { return contains(id) && kind(id) == PieceKind::control; }
  PieceKind kind(TokenId id) const { return vocabulary_.kinds[index(id)]; }  // of an id that the vocabulary contains

  TokenId bos() const { return vocabulary_.bos; }  // -1: none, as below
  TokenId eos() const { return vocabulary_.eos; }
  bool add_bos() const { return *vocabulary_.add_bos && bos() >= 0; }  // whether a text begins with BOS
  bool add_eos() const { return *vocabulary_.add_eos && eos() >= 0; }
  bool add_space_prefix() const { return *vocabulary_.add_space_prefix; }

  // What generation ends at, ascending.
  std::span<const TokenId> stops() const { return stops_; }

 protected:
  // `vocabulary` is complete, with its three optional flags set.
  explicit Tokenizer(Vocabulary vocabulary);

  const Vocabulary& vocabulary() const { return vocabulary_; }
  static std::size_t index(TokenId id) { return static_cast<std::size_t>(id); }

 private:
  // Appends the ids of a stretch of text without special tokens.
  virtual void encode_plain(std::string_view text, bool at_start, std::vector<TokenId>& ids) const = 0;
  // The bytes of a normal or byte token.
  virtual std::string plain_piece(TokenId id) const = 0;

  std::vector<TokenId> encode_around(const SpecialTokens& special, std::string_view text, bool at_start) const;

  Vocabulary vocabulary_;
  std::vector<TokenId> stops_;
  SpecialTokens matched_always_;   // user-defined
  SpecialTokens matched_on_call_;  // these and control and unknown
};

// Builds the tokenizer that a vocabulary asks for. Throws BadVocabulary.
std::unique_ptr<const Tokenizer> make_tokenizer(Vocabulary vocabulary);

}  // namespace carat
