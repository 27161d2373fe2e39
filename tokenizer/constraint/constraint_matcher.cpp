#include "tokenizer/constraint/constraint_matcher.h"

#include <string>

namespace carat {
namespace {

Runs::SetId begin(Runs& runs, const Automaton& automaton) {
  return runs.set_of({{automaton.start(), Runs::kBottom}}, automaton.accepts_nothing());
}

}  // namespace

ConstraintMatcher::ConstraintMatcher(const Automaton& automaton, const TokenTrie& trie)
    : automaton_(automaton), trie_(trie), masks_(automaton, trie), runs_(automaton), allowed_(trie.tokenizer().size()) {
  reset(false);
}

void ConstraintMatcher::reset(bool drops_space) {
  runs_.clear();
  now_ = begin(runs_, automaton_);
  drops_space_ = drops_space;
}

const TokenSet& ConstraintMatcher::allowed() {
  allowed_.clear();
  const std::vector<Runs::Run> runs = runs_.runs(now_);
  for (const Runs::Run& run : runs) add(run);
  if (drops_space_) add_without_first_space();
  return allowed_;
}

// The tokens within the run's own rule, then those that go on behind it.
void ConstraintMatcher::add(const Runs::Run& run) {
  Runs::FrameId below = Runs::kBottom;
  const TokenMasks::Place place = masks_.place(runs_, run, below);
  const TokenMasks::Mask& mask = masks_.of(place);
  mask.add_to(allowed_);
  if (mask.returns.empty() || below == Runs::kBottom) return;
  const Runs::SetId caller = runs_.returned(below);
  for (const std::uint32_t node : mask.returns) {
    walk(trie_, node, runs_, caller, allowed_, [](std::uint32_t, Runs::SetId) {});
  }
}

// Of a token that begins with a space, only the rest will be seen; there must be a rest.
void ConstraintMatcher::add_without_first_space() {
  const std::uint32_t space = trie_.child(0, ' ');
  if (space == 0) return;
  for (std::uint32_t node = space; node < trie_[space].end; ++node) {
    for (const TokenId id : trie_.tokens(node)) allowed_.remove(id);
  }
  walk(trie_, space, runs_, now_, allowed_, [](std::uint32_t, Runs::SetId) {});
}

void ConstraintMatcher::accept(TokenId token) {
  const std::string piece = trie_.tokenizer().piece(token);
  std::string_view bytes = piece;
  if (drops_space_ && bytes.starts_with(' ')) bytes.remove_prefix(1);
  drops_space_ = false;
  Runs::SetId set = piece.empty() ? Runs::kNone : now_;
  now_ = Runs::kNone;  // if what follows throws
  for (const char byte : bytes) set = runs_.next(set, static_cast<std::uint8_t>(byte));
  now_ = runs_.tidy(set);
}

bool accepts(const Automaton& automaton, std::string_view text) {
  Runs runs(automaton);
  Runs::SetId set = begin(runs, automaton);
  for (const char byte : text) set = runs.tidy(runs.next(set, static_cast<std::uint8_t>(byte)));
  return runs.complete(set);
}

}  // namespace carat
