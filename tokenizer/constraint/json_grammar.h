// The parts that JSON texts are made of, as a grammar.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/constraint/grammar.h"
#include "tokenizer/constraint/point_machine.h"
#include "tokenizer/constraint/regex.h"

namespace carat {

class JsonGrammar {
 public:
  JsonGrammar();

  Grammar& grammar() { return grammar_; }
  static constexpr RuleId kRoot = 0;

  // What may stand between parts: nothing, a space, or a line end and some indentation.
  ExpressionId space() { return grammar_.use(space_); }
  ExpressionId bytes(std::string_view text) { return grammar_.bytes(text); }

  ExpressionId value();   // of any type
  ExpressionId object();  // with any members
  ExpressionId array();
  ExpressionId string();                                      // of any length
  ExpressionId string(std::uint32_t min, std::uint32_t max);  // code points
  ExpressionId number();
  ExpressionId integer();
  ExpressionId boolean() { return grammar_.choice({bytes("true"), bytes("false")}); }

  // A string whose contents match.
  ExpressionId string_matching(std::string_view pattern, RegexSpan span);
  // A string whose contents the machine goes through to an end.
  ExpressionId string_of(const PointMachine& machine);
  // A string without escapes that is none of these.
  ExpressionId string_except(const std::vector<std::string>& names);
  // Quotes and all.
  static std::string quoted(std::string_view text);

  // "key": value
  ExpressionId member(ExpressionId key, ExpressionId value);
  // `open`, `content` with space around it unless it is empty, `close`.
  ExpressionId enclosed(std::string_view open, ExpressionId content, bool may_be_empty, std::string_view close);
  // , item
  ExpressionId after_comma(ExpressionId item) { return grammar_.sequence({bytes(","), space(), item}); }

 private:
  ExpressionId characters_except(const std::vector<std::string>& sorted, std::size_t begin, std::size_t end,
                                 std::size_t depth);
  ExpressionId character();
  ExpressionId escaped(const CodePoints& points);
  // The same, made anew only for sets that are not among `made`: mostly a few, again and again.
  using Made = std::vector<std::pair<CodePoints, ExpressionId>>;
  ExpressionId escaped(const CodePoints& points, Made& made);
  ExpressionId string_around(const char* name, ExpressionId contents);
  template <class Make>
  ExpressionId once(std::optional<RuleId>& rule, const char* name, const Make& make);

  Grammar grammar_;
  RuleId space_;
  std::optional<RuleId> value_, object_, array_, string_, number_, integer_;
  std::optional<ExpressionId> character_;
};

}  // namespace carat
