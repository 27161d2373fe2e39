// A grammar as its author means it, before it becomes a machine: rules of texts, choices, sequences and repetitions.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/constraint/code_points.h"

namespace carat {

using ExpressionId = std::uint32_t;
using RuleId = std::uint32_t;

inline constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();

// What may be written, as a tree whose children are made before their parents; a subtree may stand in several places.
struct Expression {
  enum class Kind : std::uint8_t {
    bytes,     // exactly these
    points,    // one code point of a set
    sequence,  // the children, one after another; of none: nothing is written
    choice,    // one of the children; of none: cannot be met
    repeat,    // the one child, `min` to `max` times
    rule,      // what the rule stands for
    machine,   // what is written on the way from its first state to its last: by ways[i], children[i]
  };
  struct Way {
    std::uint32_t from, to;
  };
  Kind kind;
  std::uint16_t depth = 1;
  std::uint32_t min = 0, max = 0;  // repeat; rule: min is its RuleId; machine: max is its last state
  std::string bytes;
  CodePoints points;
  std::vector<ExpressionId> children;
  std::vector<Way> ways = {};
};

// Every function that makes something throws BadConstraint where a limit on size or depth is reached.
class Grammar {
 public:
  static constexpr std::uint32_t kMaxRepeat = 65535;  // of what is repeated a counted number of times

  struct Rule {
    std::string name;
    ExpressionId body = 0;
    bool stands_alone = false;  // is never copied into the rules that use it, so that all of them share its masks
  };

  ExpressionId nothing() { return sequence({}); }
  ExpressionId impossible() { return choice({}); }
  ExpressionId bytes(std::string_view text);
  ExpressionId points(CodePoints points);
  ExpressionId sequence(std::vector<ExpressionId> children);
  ExpressionId choice(std::vector<ExpressionId> children);
  ExpressionId repeat(ExpressionId child, std::uint32_t min, std::uint32_t max = kNoLimit);
  ExpressionId optional(ExpressionId child) { return choice({nothing(), child}); }
  ExpressionId use(RuleId rule);
  // From state 0 to the one with the highest number; no other way leads from one state to another without a byte than
  // those to the last.
  ExpressionId machine(std::vector<Expression::Way> ways, std::vector<ExpressionId> written);

  // A rule that is impossible until it is defined.
  RuleId declare(std::string name, bool stands_alone = false);
  void define(RuleId rule, ExpressionId body) { rules_[rule].body = body; }

  // Rule 0 is the root.
  const std::vector<Rule>& rules() const { return rules_; }
  const Expression& operator[](ExpressionId id) const { return expressions_[id]; }
  std::size_t size() const { return expressions_.size(); }

 private:
  ExpressionId add(Expression expression);

  std::vector<Expression> expressions_;
  std::vector<Rule> rules_;
  std::size_t weight_ = 0;  // bytes, ranges and children, roughly what it takes to keep them
};

}  // namespace carat
