#include "tokenizer/constraint/grammar_facts.h"

#include <algorithm>

namespace carat {
namespace {

using Kind = Expression::Kind;
using Fact = GrammarFacts::Fact;

constexpr int kSweeps = 8;  // for sizes, which only decide what is copied: chains of rules longer than that stay calls

std::uint32_t saturated(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, GrammarFacts::kUnbounded));
}

std::uint32_t times(std::uint32_t value, std::uint32_t count) {
  return value == 0 ? 0 : saturated(std::uint64_t{value} * count);
}

// Spreads from expressions that are nullable to those that become so by them; each changes once.
class Nullability {
 public:
  Nullability(const Grammar& grammar, std::vector<Fact>& facts)
      : grammar_(grammar), facts_(facts), parents_(grammar.size()), missing_(grammar.size()) {
    std::vector<std::vector<ExpressionId>> users(grammar.rules().size());
    for (ExpressionId id = 0; id < grammar.size(); ++id) {
      const Expression& e = grammar[id];
      for (const ExpressionId child : e.children) parents_[child].push_back(id);
      if (e.kind == Kind::rule) users[e.min].push_back(id);
      missing_[id] = e.kind == Kind::sequence  ? static_cast<std::uint32_t>(e.children.size())
                     : e.kind == Kind::machine ? kNever
                                               : 1;
    }
    for (std::size_t i = 0; i < users.size(); ++i) {
      auto& parents = parents_[grammar.rules()[i].body];
      parents.insert(parents.end(), users[i].begin(), users[i].end());
    }
  }

  void spread() {
    for (ExpressionId id = 0; id < grammar_.size(); ++id) {
      const Expression& e = grammar_[id];
      const bool by_itself = (e.kind == Kind::bytes && e.bytes.empty()) || missing_[id] == 0 ||
                             (e.kind == Kind::repeat && e.min == 0) || (e.kind == Kind::machine && begins_at_end(e));
      if (by_itself) mark(id);
    }
    while (!pending_.empty()) {
      const ExpressionId id = pending_.back();
      pending_.pop_back();
      for (const ExpressionId parent : parents_[id]) {
        if (missing_[parent] > 0 && --missing_[parent] == 0) mark(parent);
      }
    }
  }

 private:
  static constexpr std::uint32_t kNever = ~0U;

  static bool begins_at_end(const Expression& machine) {
    const auto ends = [&](const Expression::Way& way) { return way.from == 0 && way.to == machine.max; };
    return std::ranges::any_of(machine.ways, ends);
  }

  void mark(ExpressionId id) {
    if (facts_[id].nullable) return;
    facts_[id].nullable = true;
    pending_.push_back(id);
  }

  const Grammar& grammar_;
  std::vector<Fact>& facts_;
  std::vector<std::vector<ExpressionId>> parents_;
  std::vector<std::uint32_t> missing_;  // nullable children until it is nullable itself
  std::vector<ExpressionId> pending_;
};

void measure(const Grammar& grammar, ExpressionId id, std::vector<Fact>& facts) {
  const Expression& e = grammar[id];
  Fact& fact = facts[id];
  std::uint64_t bytes = 0, states = 1;
  switch (e.kind) {
    case Kind::bytes:
      bytes = e.bytes.size();
      states = 1 + e.bytes.size();
      break;
    case Kind::points:
      bytes = e.points.ranges().empty() ? 0 : e.points.ranges().back().high < 0x80 ? 1 : 4;
      states = 1 + (bytes == 1 ? 0 : 3 * e.points.ranges().size());
      break;
    case Kind::sequence:
    case Kind::choice:
      for (const ExpressionId child : e.children) {
        const bool sums = e.kind == Kind::sequence;
        bytes = sums ? bytes + facts[child].max_bytes : std::max<std::uint64_t>(bytes, facts[child].max_bytes);
        states += facts[child].states;
      }
      break;
    case Kind::repeat:
      bytes = times(facts[e.children[0]].max_bytes, e.max);
      states += times(facts[e.children[0]].states, e.max == kNoLimit ? e.min + 1 : e.max);
      break;
    case Kind::machine:
      bytes = GrammarFacts::kUnbounded;
      for (const ExpressionId child : e.children) states += facts[child].states;
      break;
    case Kind::rule:
      bytes = facts[grammar.rules()[e.min].body].max_bytes;
      states += facts[grammar.rules()[e.min].body].states;
      break;
  }
  fact.max_bytes = saturated(bytes);
  fact.states = saturated(states);
}

}  // namespace

GrammarFacts::GrammarFacts(const Grammar& grammar) : of(grammar.size()) {
  Nullability(grammar, of).spread();
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (ExpressionId id = 0; id < grammar.size(); ++id) measure(grammar, id, of);
  }
}

}  // namespace carat
