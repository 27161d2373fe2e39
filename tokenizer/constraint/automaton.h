// The one machine under all constraints: byte by byte, with rules that call each other.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tokenizer/constraint/grammar.h"

namespace carat {

// A recursive transition network. The regular part of every rule is determinised, unless that would take too many
// states: from a state at most one edge takes a byte. Where a rule is called, or a counted repetition begins, a state
// has calls besides. From every state an end can be reached. No rule calls itself before it has taken a byte, and what
// is called takes at least one.
class Automaton {
 public:
  using StateId = std::uint32_t;

  struct Edge {
    std::uint8_t low, high;
    StateId to;
  };
  // Goes through the rule `min` to `max` times (at least once), then to `to`.
  struct Call {
    std::uint32_t rule;
    StateId to;
    std::uint32_t min, max;
  };
  struct Rule {
    std::string name;
    StateId start = 0;
    bool is_short = false;  // its longest text has a few bytes
  };

  // Throws BadConstraint: too large, a rule that begins with itself, or no text meets the grammar.
  explicit Automaton(const Grammar& grammar);

  const Rule& rule(std::uint32_t id) const { return rules_[id]; }
  StateId start() const { return rules_.front().start; }
  bool accepts_nothing() const { return accepts_nothing_; }  // the empty text

  // Ascending by `low`.
  std::span<const Edge> edges(StateId state) const {
    return std::span(edges_).subspan(states_[state].edges, states_[state + 1].edges - states_[state].edges);
  }
  std::span<const Call> calls(StateId state) const {
    return std::span(calls_).subspan(states_[state].calls, states_[state + 1].calls - states_[state].calls);
  }
  bool accepting(StateId state) const { return states_[state].accepting; }  // its rule may end here
  bool is_end(StateId state) const { return states_[state].accepting && edges(state).empty() && calls(state).empty(); }

  std::size_t work() const { return work_; }  // that it took to put it together: ten million is a second or so

 private:
  friend class Determiniser;
  struct State {
    std::uint32_t edges, calls;  // where its own begin
    bool accepting;
  };

  void refuse_left_recursion() const;

  std::vector<Rule> rules_;
  std::vector<State> states_;  // and one behind the last
  std::vector<Edge> edges_;
  std::vector<Call> calls_;
  std::size_t work_ = 0;
  bool accepts_nothing_ = false;
};

}  // namespace carat
