// Which tokens an automaton lets follow: worked out once for each of its states, over the whole vocabulary.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tokenizer/constraint/runs.h"
#include "tokenizer/constraint/token_trie.h"

namespace carat {

// A set of token ids.
class TokenSet {
 public:
  explicit TokenSet(std::size_t tokens) : words_((tokens + 63) / 64) {}

  void add(TokenId id) { words_[static_cast<std::size_t>(id) / 64] |= bit(id); }
  void remove(TokenId id) { words_[static_cast<std::size_t>(id) / 64] &= ~bit(id); }
  bool contains(TokenId id) const { return (words_[static_cast<std::size_t>(id) / 64] & bit(id)) != 0; }
  bool empty() const;
  void clear() { words_.assign(words_.size(), 0); }
  std::span<std::uint64_t> words() { return words_; }
  std::span<const std::uint64_t> words() const { return words_; }  // token i is bit i % 64 of word i / 64

 private:
  static std::uint64_t bit(TokenId id) { return std::uint64_t{1} << (static_cast<std::size_t>(id) % 64); }
  std::vector<std::uint64_t> words_;
};

// Adds the tokens below `node` that `runs` can take after `set`. `visit` sees every node that is reached, and the set
// it is reached with.
template <class Visit>
void walk(const TokenTrie& trie, std::uint32_t node, Runs& runs, Runs::SetId set, TokenSet& allowed, Visit visit) {
  std::array<Runs::SetId, TokenTrie::kMaxBytes + 1> path;  // after each depth
  path[trie[node].depth] = set;
  const std::uint32_t end = trie[node].end;
  for (std::uint32_t i = node + 1; i < end;) {
    const TokenTrie::Node& here = trie[i];
    const Runs::SetId next = runs.next(path[here.depth - 1U], here.byte);
    if (next == Runs::kNone) {
      i = here.end;
      continue;
    }
    path[here.depth] = next;
    for (const TokenId id : trie.tokens(i)) allowed.add(id);
    visit(i, next);
    ++i;
  }
}

// What a run at a state can take as far as its own rule goes is the same wherever that rule was called. Only where the
// rule ends inside a token does the caller have a say: those places are kept with the mask. Not thread-safe.
class TokenMasks {
 public:
  // A state, and the counted repetition of something short that it is in, if any: in such the mask depends on the
  // count, when few rounds are left.
  struct Place {
    Runs::StateId state;
    Runs::Frame counted;
    bool is_counted = false;
    bool operator==(const Place&) const = default;
  };
  struct Mask {
    std::vector<std::uint64_t> words;    // of a TokenSet, or nothing and
    std::vector<TokenId> few;            // these
    std::vector<std::uint32_t> returns;  // nodes with tokens below them where the rule may end

    void add_to(TokenSet& set) const;
  };

  TokenMasks(const Automaton& automaton, const TokenTrie& trie)
      : automaton_(automaton), trie_(trie), runs_(automaton), scratch_(trie.tokenizer().size()) {}

  // Of a run, whose frames are those of `runs`; and the stack that its rule returns to.
  Place place(const Runs& runs, const Runs::Run& run, Runs::FrameId& below) const;
  // Valid until the next call.
  const Mask& of(const Place& place);

 private:
  struct Hash {
    std::size_t operator()(const Place& place) const;
  };
  static constexpr std::size_t kMaxBytes = std::size_t{128} << 20;

  Mask work_out(const Place& place);

  const Automaton& automaton_;
  const TokenTrie& trie_;
  Runs runs_;
  TokenSet scratch_;
  std::unordered_map<Place, Mask, Hash> masks_;
  std::size_t bytes_ = 0;
};

}  // namespace carat
