// Follows an answer through a constraint, and says which tokens may come next.
#pragma once
#include <string_view>

#include "tokenizer/constraint/token_masks.h"

namespace carat {

// Not thread-safe. All but the vocabulary's tree costs little to make anew for each answer, but what was worked out
// about the constraint is kept over reset().
class ConstraintMatcher {
 public:
  // Both must outlive the matcher.
  ConstraintMatcher(const Automaton& automaton, const TokenTrie& trie);

  // Begins an answer. `drops_space`: its first token loses one space in front (see StreamDecoder).
  void reset(bool drops_space);

  // The tokens that may come next; none once complete() and nothing more can follow, or if no token of this vocabulary
  // spells what would have to come. Valid until the next call. Throws BadConstraint where the grammar can be read in
  // too many ways at once.
  const TokenSet& allowed();

  // Takes a token of the answer. One that was not allowed leads nowhere: nothing is allowed after it.
  void accept(TokenId token);

  // Whether the constraint is met, if the answer ends here.
  bool complete() const { return runs_.complete(now_); }

 private:
  void add(const Runs::Run& run);
  void add_without_first_space();

  const Automaton& automaton_;
  const TokenTrie& trie_;
  TokenMasks masks_;
  Runs runs_;
  Runs::SetId now_ = Runs::kNone;
  bool drops_space_ = false;  // still
  TokenSet allowed_;
};

// Whether an automaton accepts the whole text.
bool accepts(const Automaton& automaton, std::string_view text);

}  // namespace carat
