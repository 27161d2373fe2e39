#include "tokenizer/constraint/rule_graph.h"

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

using Kind = Expression::Kind;

constexpr std::size_t kMaxStates = 200'000;
constexpr std::uint32_t kMaxCopied = 64;       // states of a rule that is copied to where it is used
constexpr std::uint32_t kMaxCopiedBytes = 32;  // of its longest text: what is longer is worth masks of its own
constexpr std::uint32_t kMaxUnrolled = 256;    // states of a counted repetition that is written out
constexpr std::uint32_t kMaxShort = 16;        // bytes

}  // namespace

RuleGraphs::RuleGraphs(const Grammar& grammar) : grammar_(grammar), facts_(grammar) {
  graph_of(grammar.rules()[0].body, grammar.rules()[0].name);
  for (std::uint32_t i = 0; !pending_.empty(); ++i) {
    const ExpressionId body = pending_.front();
    pending_.pop_front();
    fill(i, body);
  }
}

std::uint32_t RuleGraphs::graph_of(ExpressionId body, const std::string& name) {
  const auto [place, is_new] = graph_of_.try_emplace(body, static_cast<std::uint32_t>(graphs_.size()));
  if (is_new) {
    graphs_.push_back({name, facts_.of[body].max_bytes <= kMaxShort, {}, 0});
    pending_.push_back(body);
  }
  return place->second;
}

void RuleGraphs::fill(std::uint32_t graph, ExpressionId body) {
  current_ = {graphs_[graph].name, graphs_[graph].is_short, {}, 0};
  current_.end = add(body, add_state());
  graphs_[graph] = std::move(current_);
}

std::uint32_t RuleGraphs::add_state() {
  if (++states_ > kMaxStates) throw BadConstraint("too large: more than " + std::to_string(kMaxStates) + " states");
  current_.states.emplace_back();
  return static_cast<std::uint32_t>(current_.states.size() - 1);
}

std::uint32_t RuleGraphs::add(ExpressionId id, std::uint32_t from) {
  const Expression& e = grammar_[id];
  switch (e.kind) {
    case Kind::bytes:
      return add_bytes(e.bytes, from);
    case Kind::points:
      return add_points(e.points, from);
    case Kind::sequence:
      for (const ExpressionId child : e.children) from = add(child, from);
      return from;
    case Kind::choice:
      return add_choice(e, from);
    case Kind::repeat:
      return add_repeat(e, from);
    case Kind::machine:
      return add_machine(e, from);
    case Kind::rule:
      break;
  }
  return add_rule(e, from);
}

std::uint32_t RuleGraphs::add_bytes(std::string_view bytes, std::uint32_t from) {
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    const std::uint32_t to = add_state();
    state(from).edges.push_back({byte, byte, to});
    from = to;
  }
  return from;
}

// Equal ends of spellings are shared.
std::uint32_t RuleGraphs::add_points(const CodePoints& points, std::uint32_t from) {
  const std::uint32_t end = add_state();
  std::map<std::string, std::uint32_t> state_before;  // the bytes, low and high, that lead from it to the end
  for_each_utf8(points, [&](std::span<const ByteRange> bytes) {
    std::uint32_t to = end;
    std::string rest;
    for (std::size_t i = bytes.size() - 1; i > 0; --i) {
      rest.push_back(static_cast<char>(bytes[i].low));
      rest.push_back(static_cast<char>(bytes[i].high));
      const auto known = state_before.find(rest);
      const std::uint32_t before = known != state_before.end() ? known->second : add_state();
      if (known == state_before.end()) {
        state(before).edges.push_back({bytes[i].low, bytes[i].high, to});
        state_before.emplace(rest, before);
      }
      to = before;
    }
    state(from).edges.push_back({bytes[0].low, bytes[0].high, to});
  });
  return end;
}

std::uint32_t RuleGraphs::add_choice(const Expression& choice, std::uint32_t from) {
  const std::uint32_t end = add_state();
  for (const ExpressionId child : choice.children) {
    const std::uint32_t to = add(child, from);
    state(to).silent.push_back(end);
  }
  return end;
}

std::uint32_t RuleGraphs::add_repeat(const Expression& repeat, std::uint32_t from) {
  const ExpressionId body = repeat.children[0];
  const auto& fact = facts_.of[body];
  const bool counts = repeat.max != kNoLimit;
  const std::uint64_t copies = counts ? repeat.max : repeat.min;
  if (copies > 1 && copies * fact.states > kMaxUnrolled) {
    const std::uint32_t rule = graph_of(body, "a repetition");
    return add_call(rule, fact.nullable, repeat.min, repeat.max, from);
  }
  for (std::uint32_t i = 0; i < repeat.min; ++i) from = add(body, from);
  if (!counts) {
    const std::uint32_t loop = add_state();
    state(from).silent.push_back(loop);
    const std::uint32_t back = add(body, loop);
    state(back).silent.push_back(loop);
    return loop;
  }
  const std::uint32_t end = add_state();
  for (std::uint32_t i = repeat.min; i < repeat.max; ++i) {
    state(from).silent.push_back(end);
    from = add(body, from);
  }
  state(from).silent.push_back(end);
  return end;
}

std::uint32_t RuleGraphs::add_machine(const Expression& machine, std::uint32_t from) {
  std::vector<std::uint32_t> states(machine.max + 1);
  for (std::uint32_t& id : states) id = add_state();
  state(from).silent.push_back(states[0]);
  for (std::size_t i = 0; i < machine.ways.size(); ++i) {
    const std::uint32_t to = add(machine.children[i], states[machine.ways[i].from]);
    state(to).silent.push_back(states[machine.ways[i].to]);
  }
  return states[machine.max];
}

std::uint32_t RuleGraphs::add_rule(const Expression& use, std::uint32_t from) {
  const Grammar::Rule& rule = grammar_.rules()[use.min];
  const auto& fact = facts_.of[rule.body];
  if (!rule.stands_alone && fact.states <= kMaxCopied && fact.max_bytes <= kMaxCopiedBytes) return add(rule.body, from);
  return add_call(graph_of(rule.body, rule.name), fact.nullable, 1, 1, from);
}

// What is called takes a byte at least: where it may be nothing, there is a way around it.
std::uint32_t RuleGraphs::add_call(std::uint32_t rule, bool nullable, std::uint32_t min, std::uint32_t max,
                                   std::uint32_t from) {
  const std::uint32_t to = add_state();
  if (nullable) min = 0;
  if (min == 0) state(from).silent.push_back(to);
  if (max > 0) state(from).calls.push_back({rule, to, min, max});
  return to;
}

}  // namespace carat
