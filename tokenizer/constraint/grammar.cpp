#include "tokenizer/constraint/grammar.h"

#include <algorithm>

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

constexpr std::size_t kMaxWeight = 1'000'000;
constexpr std::size_t kMaxRules = 20'000;
constexpr std::uint16_t kMaxDepth = 400;  // what walks an expression calls itself

}  // namespace

ExpressionId Grammar::bytes(std::string_view text) {
  return add({.kind = Expression::Kind::bytes, .bytes = std::string(text), .points = {}, .children = {}});
}

ExpressionId Grammar::points(CodePoints points) {
  return add({.kind = Expression::Kind::points, .bytes = {}, .points = std::move(points), .children = {}});
}

ExpressionId Grammar::sequence(std::vector<ExpressionId> children) {
  if (children.size() == 1) return children.front();
  return add({.kind = Expression::Kind::sequence, .bytes = {}, .points = {}, .children = std::move(children)});
}

ExpressionId Grammar::choice(std::vector<ExpressionId> children) {
  if (children.size() == 1) return children.front();
  return add({.kind = Expression::Kind::choice, .bytes = {}, .points = {}, .children = std::move(children)});
}

ExpressionId Grammar::repeat(ExpressionId child, std::uint32_t min, std::uint32_t max) {
  if (min > kMaxRepeat || (max != kNoLimit && max > kMaxRepeat)) {
    throw BadConstraint("a repetition of more than " + std::to_string(kMaxRepeat) + " times");
  }
  if (min > max)
    throw BadConstraint("a repetition of at least " + std::to_string(min) + " and at most " + std::to_string(max) +
                        " times");
  return add(
      {.kind = Expression::Kind::repeat, .min = min, .max = max, .bytes = {}, .points = {}, .children = {child}});
}

ExpressionId Grammar::use(RuleId rule) {
  return add({.kind = Expression::Kind::rule, .min = rule, .bytes = {}, .points = {}, .children = {}});
}

ExpressionId Grammar::machine(std::vector<Expression::Way> ways, std::vector<ExpressionId> written) {
  std::uint32_t last = 0;
  for (const Expression::Way& way : ways) last = std::max({last, way.from, way.to});
  return add({.kind = Expression::Kind::machine,
              .max = last,
              .bytes = {},
              .points = {},
              .children = std::move(written),
              .ways = std::move(ways)});
}

RuleId Grammar::declare(std::string name, bool stands_alone) {
  if (rules_.size() == kMaxRules) throw BadConstraint("more than " + std::to_string(kMaxRules) + " rules");
  const ExpressionId body = impossible();
  rules_.push_back({std::move(name), body, stands_alone});
  return static_cast<RuleId>(rules_.size() - 1);
}

ExpressionId Grammar::add(Expression expression) {
  for (const ExpressionId child : expression.children) {
    expression.depth = std::max<std::uint16_t>(expression.depth, expressions_[child].depth + 1);
  }
  if (expression.depth > kMaxDepth) throw BadConstraint("nested more than " + std::to_string(kMaxDepth) + " deep");
  weight_ += 1 + expression.bytes.size() + expression.points.ranges().size() + expression.children.size();
  if (weight_ > kMaxWeight) throw BadConstraint("too large");
  expressions_.push_back(std::move(expression));
  return static_cast<ExpressionId>(expressions_.size() - 1);
}

}  // namespace carat
