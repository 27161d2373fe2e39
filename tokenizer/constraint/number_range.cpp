#include "tokenizer/constraint/number_range.h"

#include <algorithm>
#include <charconv>

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

constexpr std::size_t kMaxDigits = 40;      // of a bound, before and behind the point each
constexpr std::size_t kIntegerDigits = 18;  // where nothing bounds them
constexpr std::size_t kWholeDigits = 9;     // likewise, of a number with a fraction
constexpr std::size_t kExactDigits = 15;    // that a double keeps apart

bool is_zero(const std::string& digits) { return digits.find_first_not_of('0') == std::string::npos; }

// Whole numbers as digits without zeros in front.
bool less(const std::string& a, const std::string& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; }

std::string plus_one(std::string digits) {
  std::size_t i = digits.size();
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i == 0) return "1" + digits;
  ++digits[i - 1];
  return digits;
}

std::string minus_one(std::string digits) {  // of a positive number
  std::size_t i = digits.size();
  while (digits[i - 1] == '0') digits[--i] = '9';
  --digits[i - 1];
  const std::size_t first = digits.find_first_not_of('0');
  return first == std::string::npos ? "0" : digits.substr(first);
}

class Digits {
 public:
  explicit Digits(Grammar& grammar) : grammar_(grammar) {}

  ExpressionId one(char low, char high) {
    return grammar_.points({{static_cast<char32_t>(low), static_cast<char32_t>(high)}});
  }
  ExpressionId any(std::size_t min, std::size_t max) {
    return grammar_.repeat(one('0', '9'), static_cast<std::uint32_t>(min), static_cast<std::uint32_t>(max));
  }

  // Whole numbers from `low` to `high`; impossible if there are none.
  ExpressionId whole(const std::string& low, const std::string& high) {
    if (less(high, low)) return grammar_.impossible();
    std::vector<ExpressionId> ways;
    for (std::size_t length = low.size(); length <= high.size(); ++length) {
      const std::string first = length == low.size() ? low : "1" + std::string(length - 1, '0');
      const std::string last = length == high.size() ? high : std::string(length, '9');
      ways.push_back(between(first, last));
    }
    return grammar_.choice(std::move(ways));
  }

 private:
  // Of the same length.
  ExpressionId between(const std::string& low, const std::string& high) {
    const std::size_t n = low.size();
    if (n == 0) return grammar_.nothing();
    if (is_zero(low) && high == std::string(n, '9')) return any(n, n);
    const std::string low_rest = low.substr(1), high_rest = high.substr(1);
    if (low[0] == high[0]) return grammar_.sequence({one(low[0], low[0]), between(low_rest, high_rest)});
    std::vector<ExpressionId> ways = {
        grammar_.sequence({one(low[0], low[0]), between(low_rest, std::string(n - 1, '9'))}),
        grammar_.sequence({one(high[0], high[0]), between(std::string(n - 1, '0'), high_rest)})};
    if (low[0] + 1 < high[0]) {
      ways.push_back(
          grammar_.sequence({one(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)), any(n - 1, n - 1)}));
    }
    return grammar_.choice(std::move(ways));
  }

  Grammar& grammar_;
};

// Magnitudes; `most` absent: as large as digits allow.
struct Magnitudes {
  Decimal least{};
  bool excludes_least = false;
  std::optional<Decimal> most;
  bool excludes_most = false;
};

bool below(const Decimal& a, const Decimal& b) {
  return a.whole != b.whole ? less(a.whole, b.whole) : a.fraction < b.fraction;
}

bool is_zero(const Decimal& value) { return value.whole == "0" && value.fraction.empty(); }

// The part of a range on one side of zero, which belongs to the positive side.
std::optional<Magnitudes> magnitudes(const NumberRange& range, bool negative) {
  std::optional<Bound> least = negative ? range.most : range.least;
  std::optional<Bound> most = negative ? range.least : range.most;
  const auto other_side = [negative](const Bound& b) { return b.value.negative != negative && !is_zero(b.value); };
  Magnitudes m;
  if (negative) m.excludes_least = true;  // no -0
  if (most && other_side(*most)) return std::nullopt;
  if (most && is_zero(most->value) && (negative || most->excluded)) return std::nullopt;
  if (least && !other_side(*least) && !is_zero(least->value)) {
    m.least = least->value;
    m.excludes_least = least->excluded;
  } else if (least && is_zero(least->value)) {
    m.excludes_least |= least->excluded;
  }
  if (most) {
    m.most = most->value;
    m.excludes_most = most->excluded;
  }
  return m;
}

ExpressionId add_integer_magnitudes(Grammar& grammar, const Magnitudes& m) {
  const bool skips_least = !m.least.fraction.empty() || m.excludes_least;
  const std::string low = skips_least ? plus_one(m.least.whole) : m.least.whole;
  std::string high(std::max(kIntegerDigits, low.size() + 1), '9');
  if (m.most) {
    const bool skips_most = m.most->fraction.empty() && m.excludes_most;
    if (skips_most && m.most->whole == "0") return grammar.impossible();
    high = skips_most ? minus_one(m.most->whole) : m.most->whole;
  }
  return Digits(grammar).whole(low, high);
}

// The digits behind a point, one after another, held against bounds as long as all before were equal to theirs.
class Fractions {
 public:
  struct Limit {
    std::string digits;
    bool excluded = false;
  };

  Fractions(Grammar& grammar, std::size_t max_digits) : grammar_(grammar), digits_(grammar), max_(max_digits) {}

  // With the point, or nothing at all.
  ExpressionId between(const std::optional<Limit>& least, const std::optional<Limit>& most) {
    std::vector<ExpressionId> ways;
    if (may_end(0, least, most)) ways.push_back(grammar_.nothing());
    if (max_ > 0) {
      ways.push_back(grammar_.sequence({grammar_.bytes("."), more(0, least, most)}));
    }
    return grammar_.choice(std::move(ways));
  }

 private:
  static char digit_at(const std::string& digits, std::size_t at) { return at < digits.size() ? digits[at] : '0'; }

  // After `at` digits that are those of the bounds given.
  static bool may_end(std::size_t at, const std::optional<Limit>& least, const std::optional<Limit>& most) {
    if (least && (at < least->digits.size() || least->excluded)) return false;
    return !most || at < most->digits.size() || !most->excluded;
  }

  ExpressionId rest(std::size_t at, const std::optional<Limit>& least, const std::optional<Limit>& most) {
    if (!least && !most) return digits_.any(0, max_ - at);
    std::vector<ExpressionId> ways;
    if (may_end(at, least, most)) ways.push_back(grammar_.nothing());
    if (at < max_) ways.push_back(more(at, least, most));
    return grammar_.choice(std::move(ways));
  }

  // At least one more digit.
  ExpressionId more(std::size_t at, const std::optional<Limit>& least, const std::optional<Limit>& most) {
    const char low = least ? digit_at(least->digits, at) : '0';
    const char high = most ? digit_at(most->digits, at) : '9';
    std::vector<ExpressionId> ways;
    for (char digit = low; digit <= high; ++digit) {
      const bool at_least = least && digit == low, at_most = most && digit == high;
      ways.push_back(grammar_.sequence(
          {digits_.one(digit, digit), rest(at + 1, at_least ? least : std::nullopt, at_most ? most : std::nullopt)}));
    }
    return grammar_.choice(std::move(ways));
  }

  Grammar& grammar_;
  Digits digits_;
  std::size_t max_;
};

ExpressionId add_magnitudes(Grammar& grammar, const Magnitudes& m) {
  if (m.most && below(*m.most, m.least)) return grammar.impossible();
  const std::string high = m.most ? m.most->whole : std::string(std::max(kWholeDigits, m.least.whole.size() + 1), '9');
  const std::size_t room = kExactDigits > high.size() ? kExactDigits - high.size() : 0;
  Fractions fractions(grammar, room);
  Digits digits(grammar);
  const Fractions::Limit least{m.least.fraction, m.excludes_least};
  const Fractions::Limit most{m.most ? m.most->fraction : "", m.excludes_most};
  const auto with_whole = [&](const std::string& whole, ExpressionId fraction) {
    return grammar.sequence({grammar.bytes(whole), fraction});
  };
  if (m.most && m.most->whole == m.least.whole) return with_whole(high, fractions.between(least, most));

  std::vector<ExpressionId> ways = {with_whole(m.least.whole, fractions.between(least, std::nullopt))};
  const std::string second = plus_one(m.least.whole), last = m.most ? minus_one(high) : high;
  ways.push_back(grammar.sequence({digits.whole(second, last), fractions.between(std::nullopt, std::nullopt)}));
  if (m.most) ways.push_back(with_whole(high, fractions.between(std::nullopt, most)));
  return grammar.choice(std::move(ways));
}

template <class Add>
ExpressionId add_signed(Grammar& grammar, const NumberRange& range, const Add& add) {
  std::vector<ExpressionId> ways;
  if (const auto positive = magnitudes(range, false)) ways.push_back(add(grammar, *positive));
  if (const auto negative = magnitudes(range, true)) {
    ways.push_back(grammar.sequence({grammar.bytes("-"), add(grammar, *negative)}));
  }
  return grammar.choice(std::move(ways));
}

}  // namespace

Decimal parse_decimal(std::string_view text) {
  Decimal value;
  value.negative = text.starts_with('-');
  if (value.negative) text.remove_prefix(1);
  const std::size_t e = text.find_first_of("eE");
  int exponent = 0;
  if (e != std::string_view::npos) {
    std::string_view tail = text.substr(e + 1);
    if (tail.starts_with('+')) tail.remove_prefix(1);
    std::from_chars(tail.data(), tail.data() + tail.size(), exponent);
    text = text.substr(0, e);
  }
  const std::size_t point = text.find('.');
  std::string digits(text.substr(0, point));
  int behind = 0;  // digits behind the point
  if (point != std::string_view::npos) {
    digits += text.substr(point + 1);
    behind = static_cast<int>(text.size() - point - 1);
  }
  behind -= exponent;
  if (is_zero(digits)) return {};
  const auto limit = static_cast<int>(kMaxDigits);
  if (behind > limit || static_cast<int>(digits.size()) - behind > limit + 1) {
    throw BadConstraint("a bound of more than " + std::to_string(kMaxDigits) + " digits");
  }
  if (behind < 0) digits.append(static_cast<std::size_t>(-behind), '0');
  const auto after = static_cast<std::size_t>(std::max(behind, 0));
  if (digits.size() <= after) digits.insert(0, after + 1 - digits.size(), '0');
  value.whole = digits.substr(0, digits.size() - after);
  value.fraction = digits.substr(digits.size() - after);
  value.whole.erase(0, std::min(value.whole.find_first_not_of('0'), value.whole.size() - 1));
  value.fraction.erase(value.fraction.find_last_not_of('0') + 1);
  return value;
}

ExpressionId add_integers(Grammar& grammar, const NumberRange& range) {
  return add_signed(grammar, range, add_integer_magnitudes);
}

ExpressionId add_numbers(Grammar& grammar, const NumberRange& range) {
  return add_signed(grammar, range, add_magnitudes);
}

}  // namespace carat
