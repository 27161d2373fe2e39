// GBNF, the notation of llama.cpp's grammars (its grammars/README.md).
#include <unordered_map>

#include "tokenizer/constraint/constraint.h"
#include "tokenizer/constraint/pattern_text.h"

namespace carat {
namespace {

constexpr int kMaxNesting = 100;

bool is_name_part(char32_t point) {
  return (point >= 'a' && point <= 'z') || (point >= 'A' && point <= 'Z') || (point >= '0' && point <= '9') ||
         point == '-' || point == '_';
}

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text, true) {}

  Grammar parse() {
    rule("root");
    for (skip(true); !text_.at_end(); skip(true)) parse_rule();
    for (const auto& [name, rule] : rules_) {
      if (!rule.defined) throw BadConstraint("rule '" + name + "' is not defined");
    }
    return std::move(grammar_);
  }

 private:
  struct Rule {
    RuleId id;
    bool defined = false;
  };

  Rule& rule(const std::string& name) {
    const auto known = rules_.find(name);
    if (known != rules_.end()) return known->second;
    return rules_.emplace(name, Rule{grammar_.declare("rule '" + name + "'")}).first->second;
  }

  // White space and comments; over the ends of lines only where these do not end a rule.
  void skip(bool over_lines) {
    for (;;) {
      const char32_t next = text_.peek();
      if (next == '#') {
        while (!text_.at_end() && text_.peek() != '\n' && text_.peek() != '\r') text_.take();
      } else if (next == ' ' || next == '\t' || (over_lines && (next == '\n' || next == '\r'))) {
        text_.take();
      } else {
        return;
      }
    }
  }

  std::string take_name() {
    std::string name;
    while (is_name_part(text_.peek())) append_utf8(name, text_.take());
    if (name.empty()) text_.fail("expected the name of a rule, found " + shown(text_.peek()));
    return name;
  }

  void parse_rule() {
    const std::size_t begin = text_.position();
    const std::string name = take_name();
    skip(false);
    if (!text_.take("::=")) text_.fail("expected '::=', found " + shown(text_.peek()));
    if (rule(name).defined) {
      text_.back_to(begin);
      text_.fail("rule '" + name + "' is defined twice");
    }
    rule(name).defined = true;
    skip(true);
    const ExpressionId body = parse_choice(0);
    grammar_.define(rule(name).id, body);
    const char32_t next = text_.peek();
    if (!text_.at_end() && next != '\n' && next != '\r') text_.fail("unexpected " + shown(next));
  }

  ExpressionId parse_choice(int nesting) {
    std::vector<ExpressionId> alternatives{parse_sequence(nesting)};
    while (text_.take("|")) {
      skip(true);
      alternatives.push_back(parse_sequence(nesting));
    }
    return grammar_.choice(std::move(alternatives));
  }

  ExpressionId parse_sequence(int nesting) {
    std::vector<ExpressionId> parts;
    while (true) {
      const char32_t next = text_.peek();
      if (next == '"') {
        parts.push_back(parse_text());
      } else if (next == '[') {
        parts.push_back(parse_class());
      } else if (next == '.') {
        text_.take();
        parts.push_back(grammar_.points(CodePoints::all()));
      } else if (next == '(') {
        parts.push_back(parse_group(nesting));
      } else if (is_name_part(next)) {
        parts.push_back(grammar_.use(rule(take_name()).id));
      } else if (next == '<' || next == '!') {
        text_.fail("references to tokens are not supported");
      } else {
        break;
      }
      skip(nesting > 0);
      parts.back() = parse_repeats(parts.back(), nesting);
    }
    return grammar_.sequence(std::move(parts));
  }

  ExpressionId parse_group(int nesting) {
    if (nesting == kMaxNesting) text_.fail("groups are nested too deep");
    text_.take();
    skip(true);
    const ExpressionId group = parse_choice(nesting + 1);
    if (!text_.take(")")) text_.fail("expected ')', found " + shown(text_.peek()));
    return group;
  }

  ExpressionId parse_repeats(ExpressionId part, int nesting) {
    for (;;) {
      const std::size_t begin = text_.position();
      std::uint32_t min = 0, max = kNoLimit;
      if (text_.take("+")) {
        min = 1;
      } else if (text_.take("?")) {
        max = 1;
      } else if (text_.take("{")) {
        parse_counts(min, max);
      } else if (!text_.take("*")) {
        return part;
      }
      part = guarded(begin, [&] { return grammar_.repeat(part, min, max); });
      skip(nesting > 0);
    }
  }

  void parse_counts(std::uint32_t& min, std::uint32_t& max) {
    skip(false);
    const auto least = text_.take_count();
    skip(false);
    std::optional<std::uint32_t> most = least;
    if (text_.take(",")) {
      skip(false);
      most = text_.take_count();
      skip(false);
      if (!least && !most) text_.fail("expected a number");
    } else if (!least) {
      text_.fail("expected a number");
    }
    if (!text_.take("}")) text_.fail("expected '}', found " + shown(text_.peek()));
    min = least.value_or(0);
    max = most.value_or(kNoLimit);
  }

  // Runs `make`; what it refuses is refused at `position`.
  template <class Make>
  ExpressionId guarded(std::size_t position, const Make& make) {
    try {
      return make();
    } catch (const BadConstraint& e) {
      text_.back_to(position);
      text_.fail(e.what());
    }
  }

  ExpressionId parse_text() {
    text_.take();
    std::string bytes;
    while (!text_.take("\"")) append_utf8(bytes, take_character());
    return grammar_.bytes(bytes);
  }

  ExpressionId parse_class() {
    text_.take();
    const bool inverts = text_.take("^");
    std::vector<CodePoints::Range> ranges;
    while (!text_.take("]")) {
      const char32_t low = take_character();
      const bool is_range = text_.comes("-") && !text_.comes("-]");
      if (is_range) text_.take();
      const char32_t high = is_range ? take_character() : low;
      if (high < low) text_.fail("a range that ends before it begins");
      ranges.push_back({low, high});
    }
    CodePoints points = CodePoints::of(std::move(ranges));
    return grammar_.points(inverts ? points.inverted() : std::move(points));
  }

  char32_t take_character() {
    const char32_t point = text_.peek();
    if (point == PatternText::kEnd || point == '\n' || point == '\r') text_.fail("the text or class does not end");
    text_.take();
    if (point != '\\') return point;
    const char32_t escaped = text_.take();
    switch (escaped) {
      case 'x':
        return text_.take_hex(2);
      case 'u':
        return text_.take_hex(4);
      case 'U':
        return text_.take_hex(8);
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'n':
        return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return escaped;
      default:
        text_.fail("an unknown escape: " + shown(escaped));
    }
  }

  PatternText text_;
  Grammar grammar_;
  std::unordered_map<std::string, Rule> rules_;
};

}  // namespace

Automaton gbnf_constraint(std::string_view text) { return Automaton(GbnfParser(text).parse()); }

}  // namespace carat
