// What an answer must look like: a schema, a grammar or a regular expression.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/token_filter.h"
#include "tokenizer/constraint/automaton.h"
#include "tokenizer/constraint/constraint_matcher.h"

namespace CLI {
class App;
}  // namespace CLI

namespace carat {

// An answer on its way through a constraint. It is for one model, and can be used for one answer after another.
class AnswerConstraint : public TokenFilter {
 public:
  // `ends` are the tokens that an answer ends at, which `trie` leaves out.
  AnswerConstraint(std::shared_ptr<const Automaton> automaton, std::shared_ptr<const TokenTrie> trie,
                   std::vector<TokenId> ends);

  // Begins an answer; see StreamDecoder about `begins_text`.
  void begin(bool begins_text);

  Next mask(std::span<float> logits) override;
  void accept(TokenId token) override;

  // Whether what was written so far is whole.
  bool satisfied() const { return matcher_.complete(); }

  // What this answer's mask() and accept() have taken.
  double ms() const { return ms_; }

 private:
  Next masked(std::span<float> logits);
  void keep(const TokenSet& allowed, std::span<float> logits) const;

  std::shared_ptr<const Automaton> automaton_;
  std::shared_ptr<const TokenTrie> trie_;
  std::vector<TokenId> ends_;
  ConstraintMatcher matcher_;
  double ms_ = 0;
};

struct ConstraintFlags {
  std::optional<std::string> json_schema, json_schema_file, format, grammar, grammar_file, regex;

  void add_to(CLI::App&);
  bool given() const { return !kind().empty(); }

  std::string_view kind() const;  // "json", "json_schema", "grammar", "regex"; empty: none

  // The constraint that one of the flags states, if any does: made once. Throws BadUsage where two do, or a file cannot
  // be read, and ConstraintNotMet where it is wrong.
  const std::shared_ptr<const Automaton>& automaton() const;

  // The same for the answers of a model, which end at `ends`; null without a flag. `trie`, which several constraints of
  // a model share, is made if it is not there yet.
  std::unique_ptr<AnswerConstraint> make(const Tokenizer& tokenizer, const std::vector<TokenId>& ends,
                                         std::shared_ptr<const TokenTrie>& trie) const;

 private:
  std::shared_ptr<const Automaton> make_automaton() const;

  mutable std::shared_ptr<const Automaton> automaton_;
};

}  // namespace carat
