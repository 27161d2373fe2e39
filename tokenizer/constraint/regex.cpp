#include "tokenizer/constraint/regex.h"

#include "tokenizer/constraint/constraint.h"
#include "tokenizer/constraint/pattern_text.h"

namespace carat {
namespace {

constexpr int kMaxNesting = 100;

// \d and \w are ASCII, as in ECMA-262. Where readers differ in what is white space or the end of a line, the narrowest
// reading: what is written is a match for all of them. \S, and \s in a class of what is not meant, leave out all that
// any of them calls white space, and . all that any of them calls the end of a line.
CodePoints digits() { return {{'0', '9'}}; }
CodePoints word_characters() { return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}; }
CodePoints ascii_spaces() { return {{'\t', '\r'}, {' ', ' '}}; }
CodePoints all_spaces() {
  return {{'\t', '\r'},     {0x1C, ' '},      {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x180E, 0x180E},
          {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
}
CodePoints line_ends() { return {{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}; }

class RegexParser {
 public:
  RegexParser(Grammar& grammar, std::string_view pattern, RegexSpan span, const WritePoints& write)
      : grammar_(grammar), text_(pattern, false), span_(span), write_(write) {}

  ExpressionId parse() {
    const ExpressionId found = parse_choice(0);
    if (!text_.at_end()) text_.fail("an unmatched ')'");
    return found;
  }

 private:
  enum class Place { alone, in_class, inverted_class };  // of an escape

  ExpressionId parse_choice(int nesting) {
    std::vector<ExpressionId> alternatives;
    do {
      alternatives.push_back(nesting == 0 ? parse_whole_alternative() : parse_sequence(nesting));
    } while (text_.take("|"));
    return grammar_.choice(std::move(alternatives));
  }

  // An alternative of the whole pattern: the only place where ^ and $ mean something that a grammar can say.
  ExpressionId parse_whole_alternative() {
    const bool from_start = take_start();
    const ExpressionId body = parse_sequence(0);
    const bool to_end = take_end();
    if (span_ == RegexSpan::whole || (from_start && to_end)) return body;
    const ExpressionId anything = grammar_.repeat(write_(CodePoints::all()), 0);
    std::vector<ExpressionId> parts{body};
    if (!from_start) parts.insert(parts.begin(), anything);
    if (!to_end) parts.push_back(anything);
    return grammar_.sequence(std::move(parts));
  }

  bool take_start() { return text_.take("^") || text_.take("\\A"); }
  bool take_end() { return text_.take("$") || text_.take("\\Z") || text_.take("\\z"); }

  ExpressionId parse_sequence(int nesting) {
    std::vector<ExpressionId> parts;
    for (;;) {
      const bool ends = text_.at_end() || text_.comes("|") || text_.comes(")");
      const bool is_last_anchor = nesting == 0 && (text_.comes("$") || text_.comes("\\Z") || text_.comes("\\z"));
      if (ends || is_last_anchor) break;
      const ExpressionId part = parse_atom(nesting);
      parts.push_back(parse_repeats(part));
    }
    if (nesting == 0 && !text_.at_end() && text_.peek() != '|' && text_.peek() != ')') check_last_anchor();
    return grammar_.sequence(std::move(parts));
  }

  // "$" with something behind it cannot match.
  void check_last_anchor() {
    const std::size_t begin = text_.position();
    take_end();
    if (!text_.at_end() && !text_.comes("|")) {
      text_.back_to(begin);
      text_.fail("'$' is supported at the end only");
    }
    text_.back_to(begin);
  }

  ExpressionId parse_atom(int nesting) {
    const std::size_t begin = text_.position();
    const char32_t point = text_.take();
    switch (point) {
      case '(':
        return parse_group(nesting);
      case '[':
        return write_(parse_class());
      case '.':
        return write_(line_ends().inverted());
      case '\\':
        return write_(parse_escape(Place::alone));
      case '^':
      case '$':
        text_.back_to(begin);
        text_.fail(shown(point) + " is supported at the ends of the whole pattern only");
      case '*':
      case '+':
      case '?':
        text_.back_to(begin);
        text_.fail(shown(point) + " has nothing to repeat");
      default:
        return write_({{point, point}});
    }
  }

  ExpressionId parse_group(int nesting) {
    if (nesting == kMaxNesting) text_.fail("groups are nested too deep");
    if (text_.take("?")) parse_group_kind();
    const ExpressionId group = parse_choice(nesting + 1);
    if (!text_.take(")")) text_.fail("a '(' without ')'");
    return group;
  }

  // What comes after "(?".
  void parse_group_kind() {
    if (text_.take(":")) return;
    if (text_.comes("=") || text_.comes("!") || text_.comes("<=") || text_.comes("<!")) {
      text_.fail("look-around is not supported");
    }
    if (text_.comes("P=") || text_.comes("P>")) text_.fail("back-references are not supported");
    if (text_.take("P<") || text_.take("<")) {
      while (!text_.take(">")) {
        if (text_.at_end() || text_.comes(")")) text_.fail("the name of a group does not end");
        text_.take();
      }
      return;
    }
    text_.fail("'(?" + std::string(text_.comes(">") ? ">" : "") +
               "…' is not supported: neither flags, conditions nor atomic groups");
  }

  ExpressionId parse_repeats(ExpressionId part) {
    const std::size_t begin = text_.position();
    std::uint32_t min = 0, max = kNoLimit;
    if (text_.take("+")) {
      min = 1;
    } else if (text_.take("?")) {
      max = 1;
    } else if (!text_.take("*") && !take_counts(min, max)) {
      return part;
    }
    try {
      part = grammar_.repeat(part, min, max);
    } catch (const BadConstraint& e) {
      text_.back_to(begin);
      text_.fail(e.what());
    }
    text_.take("?");  // lazy: the same texts
    const char32_t next = text_.peek();
    std::uint32_t again = 0;
    if (next == '+') text_.fail("possessive repetition is not supported");
    if (next == '*' || next == '?' || take_counts(again, again)) text_.fail("a repetition of a repetition");
    return part;
  }

  // "{3}", "{3,}", "{3,5}"; any other brace is a character.
  bool take_counts(std::uint32_t& min, std::uint32_t& max) {
    const std::size_t begin = text_.position();
    if (!text_.take("{")) return false;
    const auto least = text_.take_count();
    std::optional<std::uint32_t> most = least;
    if (text_.take(",")) {
      most = text_.take_count();
      if (!least && most) text_.fail("'{,n}' means {0,n} to some and itself to others");
      if (!most) most = kNoLimit;
    }
    if (!least || !text_.take("}")) {
      text_.back_to(begin);
      return false;
    }
    min = *least;
    max = *most;
    return true;
  }

  CodePoints parse_class() {
    const bool inverts = text_.take("^");
    const Place place = inverts ? Place::inverted_class : Place::in_class;
    std::vector<CodePoints::Range> ranges;
    if (text_.comes("]")) text_.fail("an empty class");
    while (!text_.take("]")) {
      if (text_.comes("[:")) text_.fail("named classes ([:alpha:]) are not supported");
      const std::optional<char32_t> low = parse_class_part(place, ranges);
      if (!text_.comes("-") || text_.comes("-]")) {
        if (low) ranges.push_back({*low, *low});
        continue;
      }
      text_.take();
      const std::optional<char32_t> high = parse_class_part(place, ranges);
      if (!low || !high) text_.fail("a range needs a character at both ends");
      if (*high < *low) text_.fail("a range that ends before it begins");
      ranges.push_back({*low, *high});
    }
    CodePoints points = CodePoints::of(std::move(ranges));
    return inverts ? points.inverted() : points;
  }

  // A character, which is returned, or a set like \d, which is added.
  std::optional<char32_t> parse_class_part(Place place, std::vector<CodePoints::Range>& ranges) {
    if (text_.at_end()) text_.fail("a '[' without ']'");
    const char32_t point = text_.take();
    if (point != '\\') return point;
    const CodePoints set = parse_escape(place);
    const bool is_one = set.ranges().size() == 1 && set.ranges()[0].low == set.ranges()[0].high;
    if (is_one) return set.ranges()[0].low;
    ranges.insert(ranges.end(), set.ranges().begin(), set.ranges().end());
    return std::nullopt;
  }

  // What comes after a backslash.
  CodePoints parse_escape(Place place) {
    const char32_t point = text_.take();
    const auto one = [](char32_t c) { return CodePoints{{c, c}}; };
    switch (point) {
      case 'd':
        return digits();
      case 'D':
        return digits().inverted();
      case 'w':
        return word_characters();
      case 'W':
        return word_characters().inverted();
      case 's':
        return place == Place::inverted_class ? all_spaces() : ascii_spaces();
      case 'S':
        return (place == Place::inverted_class ? ascii_spaces() : all_spaces()).inverted();
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
        return one(text_.take("{") ? text_.take_hex_in_braces() : text_.take_hex(2));
      case 'u':
        return one(text_.take("{") ? text_.take_hex_in_braces() : text_.take_hex(4));
      default:
        return one(parse_plain_escape(point, place != Place::alone));
    }
  }

  char32_t parse_plain_escape(char32_t point, bool in_class) {
    const bool is_letter = (point >= 'a' && point <= 'z') || (point >= 'A' && point <= 'Z');
    if (point == PatternText::kEnd) text_.fail("a '\\' at the end");
    if (point == '0' && !(text_.peek() >= '0' && text_.peek() <= '9')) return 0;
    if (point >= '0' && point <= '9')
      text_.fail(in_class ? "octal escapes are not supported" : "back-references are not supported");
    if (point == 'k' || point == 'g') text_.fail("back-references are not supported");
    if (point == 'p' || point == 'P') text_.fail("Unicode properties (\\p) are not supported");
    if (point == 'b' || point == 'B') text_.fail("word boundaries (\\b) are not supported");
    if (point == 'A' || point == 'Z' || point == 'z')
      text_.fail("anchors are supported at the ends of the whole pattern only");
    if (is_letter) text_.fail("an unknown escape: \\" + std::string(1, static_cast<char>(point)));
    return point;
  }

  Grammar& grammar_;
  PatternText text_;
  RegexSpan span_;
  const WritePoints& write_;
};

}  // namespace

ExpressionId add_regex(Grammar& grammar, std::string_view pattern, RegexSpan span, const WritePoints& write) {
  return RegexParser(grammar, pattern, span, write).parse();
}

Automaton regex_automaton(std::string_view pattern, RegexSpan span) {
  Grammar grammar;
  const RuleId root = grammar.declare("the pattern");
  const auto write = [&grammar](const CodePoints& points) { return grammar.points(points); };
  grammar.define(root, add_regex(grammar, pattern, span, write));
  return Automaton(grammar);
}

Automaton regex_constraint(std::string_view pattern) { return regex_automaton(pattern, RegexSpan::whole); }

}  // namespace carat
