// Regular expressions as a part of a grammar.
#pragma once
#include <functional>
#include <string_view>

#include "tokenizer/constraint/automaton.h"
#include "tokenizer/constraint/grammar.h"

namespace carat {

// How one character of a set is written in the grammar: as itself, or as JSON escapes it.
using WritePoints = std::function<ExpressionId(const CodePoints&)>;

enum class RegexSpan {
  whole,     // the text matches from end to end, whether the pattern has ^ and $ or not
  anywhere,  // the match may lie anywhere, except where ^ or $ fix it
};

// Adds the texts that match `pattern`, in the subset of constraint.h. Throws BadConstraint.
ExpressionId add_regex(Grammar& grammar, std::string_view pattern, RegexSpan span, const WritePoints& write);

// The same by itself, as it is.
Automaton regex_automaton(std::string_view pattern, RegexSpan span);

}  // namespace carat
