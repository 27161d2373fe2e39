// What the rules of a grammar let follow: which may be nothing at all, how long and how large the others are.
#pragma once
#include <cstdint>
#include <vector>

#include "tokenizer/constraint/grammar.h"

namespace carat {

struct GrammarFacts {
  static constexpr std::uint32_t kUnbounded = 1U << 24;  // this much or more, or not known to be less

  struct Fact {
    bool nullable = false;                 // may be written as nothing
    std::uint32_t max_bytes = kUnbounded;  // of the longest text
    std::uint32_t states = kUnbounded;     // about how many, if it is copied to where it is used
  };

  explicit GrammarFacts(const Grammar& grammar);

  std::vector<Fact> of;  // each expression
};

}  // namespace carat
