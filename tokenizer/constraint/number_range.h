// Numbers between bounds, digit by digit.
#pragma once
#include <optional>
#include <string>

#include "tokenizer/constraint/grammar.h"

namespace carat {

// A decimal number, exactly.
struct Decimal {
  bool negative = false;
  std::string whole = "0";  // digits, without zeros in front
  std::string fraction;     // digits, without zeros behind
};

// Of a number as JSON spells it, "-1.5e3". Throws BadConstraint beyond 40 digits.
Decimal parse_decimal(std::string_view text);

struct Bound {
  Decimal value;
  bool excluded = false;
};

struct NumberRange {
  std::optional<Bound> least, most;
};

// Impossible where no number lies between them.
ExpressionId add_integers(Grammar& grammar, const NumberRange& range);
// Also numbers with a fraction; of at most 15 digits, and no more than `range` needs before the point.
ExpressionId add_numbers(Grammar& grammar, const NumberRange& range);

}  // namespace carat
