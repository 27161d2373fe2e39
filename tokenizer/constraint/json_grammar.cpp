#include "tokenizer/constraint/json_grammar.h"

#include <algorithm>
#include <cstdio>

#include "tokenizer/constraint/bad_constraint.h"
#include "tokenizer/constraint/constraint.h"

namespace carat {
namespace {

constexpr std::uint32_t kMaxIndent = 16;
constexpr std::size_t kMaxNameBytes = 100;  // of a property beside which others are allowed

// What a JSON string holds without an escape.
CodePoints plain_points() { return CodePoints{{0x20, kLastCodePoint}}.without({{'"', '"'}, {'\\', '\\'}}); }

std::string escape(char32_t point) {
  switch (point) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  char text[8];
  std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(point));
  return text;
}

bool needs_escape(char32_t point) { return point < 0x20 || point == '"' || point == '\\'; }

}  // namespace

JsonGrammar::JsonGrammar() {
  grammar_.declare("the root");
  space_ = grammar_.declare("space", true);
  const ExpressionId indent = grammar_.repeat(grammar_.points({{' ', ' '}, {'\t', '\t'}}), 0, kMaxIndent);
  grammar_.define(space_, grammar_.choice({grammar_.nothing(), bytes(" "), grammar_.sequence({bytes("\n"), indent})}));
}

template <class Make>
ExpressionId JsonGrammar::once(std::optional<RuleId>& rule, const char* name, const Make& make) {
  if (!rule) {
    rule = grammar_.declare(name, true);
    grammar_.define(*rule, make());
  }
  return grammar_.use(*rule);
}

ExpressionId JsonGrammar::value() {
  return once(value_, "a value", [this] {
    return grammar_.choice({object(), array(), string(), number(), boolean(), bytes("null")});
  });
}

ExpressionId JsonGrammar::object() {
  return once(object_, "an object", [this] {
    const ExpressionId one = member(string(), value());
    return enclosed("{", grammar_.sequence({one, grammar_.repeat(after_comma(one), 0)}), true, "}");
  });
}

ExpressionId JsonGrammar::array() {
  return once(array_, "an array", [this] {
    return enclosed("[", grammar_.sequence({value(), grammar_.repeat(after_comma(value()), 0)}), true, "]");
  });
}

ExpressionId JsonGrammar::character() {
  if (!character_) {
    const ExpressionId hex = grammar_.points({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
    const ExpressionId d = grammar_.points({{'D', 'D'}, {'d', 'd'}});
    const ExpressionId not_d = grammar_.points({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}});
    const ExpressionId high = grammar_.points({{'8', '9'}, {'A', 'B'}, {'a', 'b'}});
    const ExpressionId low = grammar_.points({{'C', 'F'}, {'c', 'f'}});
    const ExpressionId other = grammar_.choice(
        {grammar_.sequence({not_d, hex, hex, hex}), grammar_.sequence({d, grammar_.points({{'0', '7'}}), hex, hex}),
         grammar_.sequence({d, high, hex, hex, bytes("\\u"), d, low, hex, hex})});
    const ExpressionId letter = grammar_.points(
        {{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', 'b'}, {'f', 'f'}, {'n', 'n'}, {'r', 'r'}, {'t', 't'}});
    character_ = grammar_.choice({grammar_.points(plain_points()), grammar_.sequence({bytes("\\"), letter}),
                                  grammar_.sequence({bytes("\\u"), other})});
  }
  return *character_;
}

ExpressionId JsonGrammar::string() {
  return once(string_, "a string", [this] { return string(0, kNoLimit); });
}

ExpressionId JsonGrammar::string(std::uint32_t min, std::uint32_t max) {
  return grammar_.sequence({bytes("\""), grammar_.repeat(character(), min, max), bytes("\"")});
}

ExpressionId JsonGrammar::number() {
  return once(number_, "a number", [this] {
    const ExpressionId digit = grammar_.points({{'0', '9'}});
    const ExpressionId whole = grammar_.choice(
        {bytes("0"), grammar_.sequence({grammar_.points({{'1', '9'}}), grammar_.repeat(digit, 0, 14)})});
    const ExpressionId fraction = grammar_.sequence({bytes("."), grammar_.repeat(digit, 1, 15)});
    const ExpressionId sign = grammar_.optional(grammar_.points({{'+', '+'}, {'-', '-'}}));
    const ExpressionId exponent =
        grammar_.sequence({grammar_.points({{'E', 'E'}, {'e', 'e'}}), sign, grammar_.repeat(digit, 1, 2)});
    return grammar_.sequence(
        {grammar_.optional(bytes("-")), whole, grammar_.optional(fraction), grammar_.optional(exponent)});
  });
}

ExpressionId JsonGrammar::integer() {
  return once(integer_, "an integer", [this] {
    const ExpressionId digit = grammar_.points({{'0', '9'}});
    const ExpressionId first = grammar_.points({{'1', '9'}});
    return grammar_.choice(
        {bytes("0"), grammar_.sequence({grammar_.optional(bytes("-")), first, grammar_.repeat(digit, 0, 17)})});
  });
}

// One way for each code point: as it is, where that is allowed.
ExpressionId JsonGrammar::escaped(const CodePoints& points) {
  std::vector<ExpressionId> ways;
  CodePoints plain;
  for (const CodePoints::Range& range : points.ranges()) {
    for (char32_t point = range.low; point <= range.high && point <= '\\'; ++point) {
      if (needs_escape(point)) ways.push_back(bytes(escape(point)));
    }
    plain.add(range.low, range.high);
  }
  plain = plain.without(plain_points().inverted());
  if (!plain.empty()) ways.push_back(grammar_.points(std::move(plain)));
  return grammar_.choice(std::move(ways));
}

ExpressionId JsonGrammar::escaped(const CodePoints& points, Made& made) {
  for (const auto& [known, id] : made) {
    if (known == points) return id;
  }
  const ExpressionId id = escaped(points);
  if (made.size() < 16) made.emplace_back(points, id);
  return id;
}

ExpressionId JsonGrammar::string_around(const char* name, ExpressionId contents) {
  const RuleId rule = grammar_.declare(name, true);
  grammar_.define(rule, grammar_.sequence({bytes("\""), contents, bytes("\"")}));
  return grammar_.use(rule);
}

ExpressionId JsonGrammar::string_matching(std::string_view pattern, RegexSpan span) {
  Made made;
  const auto write = [this, &made](const CodePoints& points) { return escaped(points, made); };
  return string_around("a string with a pattern", add_regex(grammar_, pattern, span, write));
}

ExpressionId JsonGrammar::string_of(const PointMachine& machine) {
  if (machine.states.empty()) return grammar_.impossible();
  const auto end = static_cast<std::uint32_t>(machine.states.size());
  Made made;
  std::vector<Expression::Way> ways;
  std::vector<ExpressionId> written;
  for (std::uint32_t from = 0; from < end; ++from) {
    for (const PointMachine::Edge& edge : machine.states[from].edges) {
      ways.push_back({from, edge.to});
      written.push_back(escaped(edge.points, made));
    }
    if (!machine.states[from].accepting) continue;
    ways.push_back({from, end});
    written.push_back(grammar_.nothing());
  }
  return string_around("a string with limits", grammar_.machine(std::move(ways), std::move(written)));
}

ExpressionId JsonGrammar::string_except(const std::vector<std::string>& names) {
  std::vector<std::string> sorted = names;
  std::ranges::sort(sorted);
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());  // clang 14 cannot do std::ranges::unique
  // A name that needs an escape cannot come up among strings without one.
  std::erase_if(sorted, [](const std::string& name) {
    return std::ranges::any_of(name, [](char c) { return needs_escape(static_cast<unsigned char>(c)); });
  });
  for (const std::string& name : sorted) {
    if (name.size() > kMaxNameBytes)
      throw BadConstraint("'" + name + "' is too long to allow other properties beside it");
  }
  return string_around("another name", characters_except(sorted, 0, sorted.size(), 0));
}

// The rest of a string that has begun with `depth` bytes of the names from `begin` to `end`: it may end unless it is
// one of them, and goes on as one of them or with another code point and anything.
ExpressionId JsonGrammar::characters_except(const std::vector<std::string>& sorted, std::size_t begin, std::size_t end,
                                            std::size_t depth) {
  std::vector<ExpressionId> ways;
  if (begin < end && sorted[begin].size() == depth) {
    ++begin;
  } else {
    ways.push_back(grammar_.nothing());
  }
  CodePoints others = plain_points();
  while (begin < end) {
    std::size_t at = depth;
    const char32_t point = take_utf8(sorted[begin], at);
    const std::string prefix = sorted[begin].substr(0, at);
    std::size_t last = begin;
    while (last < end && sorted[last].starts_with(prefix)) ++last;
    const ExpressionId rest = characters_except(sorted, begin, last, at);
    ways.push_back(grammar_.sequence({grammar_.points({{point, point}}), rest}));
    others = others.without({{point, point}});
    begin = last;
  }
  const ExpressionId plain = grammar_.points(plain_points());
  ways.push_back(grammar_.sequence({grammar_.points(std::move(others)), grammar_.repeat(plain, 0)}));
  return grammar_.choice(std::move(ways));
}

std::string JsonGrammar::quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += needs_escape(byte) ? escape(byte) : std::string(1, c);
  }
  return out + "\"";
}

ExpressionId JsonGrammar::member(ExpressionId key, ExpressionId value) {
  return grammar_.sequence({key, bytes(":"), space(), value});
}

ExpressionId JsonGrammar::enclosed(std::string_view open, ExpressionId content, bool may_be_empty,
                                   std::string_view close) {
  const ExpressionId spaced = grammar_.sequence({space(), content, space()});
  return grammar_.sequence({bytes(open), may_be_empty ? grammar_.optional(spaced) : spaced, bytes(close)});
}

Automaton json_object_constraint() {
  JsonGrammar json;
  json.grammar().define(JsonGrammar::kRoot, json.object());
  return Automaton(json.grammar());
}

}  // namespace carat
