// What several expressions allow at once: the intersection of their languages.
#pragma once
#include <span>
#include <vector>

#include "tokenizer/constraint/grammar.h"

namespace carat {

// A deterministic machine over code points, from whose every state an end can be reached (Rabin & Scott, 1959).
struct PointMachine {
  struct Edge {
    CodePoints points;
    std::uint32_t to;
  };
  struct State {
    std::vector<Edge> edges;
    bool accepting = false;
  };
  std::vector<State> states;  // it begins in the first; none: there is no such text
};

// The texts of `min` to `max` code points that each of the expressions allows; these consist of code points, and use no
// rules. Throws BadConstraint where that takes too many states.
PointMachine intersection(const Grammar& grammar, std::span<const ExpressionId> expressions, std::uint32_t min,
                          std::uint32_t max);

}  // namespace carat
