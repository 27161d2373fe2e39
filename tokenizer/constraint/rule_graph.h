// The rules of a grammar before they are determinised: states with any number of edges, and edges that take nothing.
#pragma once
#include <deque>
#include <map>
#include <unordered_map>

#include "tokenizer/constraint/automaton.h"
#include "tokenizer/constraint/grammar_facts.h"

namespace carat {

// One rule: from state 0 to `end` (Thompson, 1968).
struct RuleGraph {
  struct State {
    std::vector<std::uint32_t> silent;  // edges that take nothing
    std::vector<Automaton::Edge> edges;
    std::vector<Automaton::Call> calls;
  };
  std::string name;
  bool is_short = false;
  std::vector<State> states;
  std::uint32_t end = 0;
};

// Graphs of the root and of all that it calls, itself first. What is small is copied to where it is used, the rest is
// called.
class RuleGraphs {
 public:
  explicit RuleGraphs(const Grammar& grammar);

  std::vector<RuleGraph> take() { return std::move(graphs_); }
  bool root_is_nullable() const { return facts_.of[grammar_.rules()[0].body].nullable; }

 private:
  std::uint32_t graph_of(ExpressionId body, const std::string& name);
  void fill(std::uint32_t graph, ExpressionId body);

  // Each adds a way from a state and returns where it leads.
  std::uint32_t add(ExpressionId id, std::uint32_t from);
  std::uint32_t add_bytes(std::string_view bytes, std::uint32_t from);
  std::uint32_t add_points(const CodePoints& points, std::uint32_t from);
  std::uint32_t add_choice(const Expression& choice, std::uint32_t from);
  std::uint32_t add_repeat(const Expression& repeat, std::uint32_t from);
  std::uint32_t add_machine(const Expression& machine, std::uint32_t from);
  std::uint32_t add_rule(const Expression& use, std::uint32_t from);
  std::uint32_t add_call(std::uint32_t rule, bool nullable, std::uint32_t min, std::uint32_t max, std::uint32_t from);
  std::uint32_t add_state();
  RuleGraph::State& state(std::uint32_t id) { return current_.states[id]; }

  const Grammar& grammar_;
  GrammarFacts facts_;
  std::vector<RuleGraph> graphs_;
  std::unordered_map<ExpressionId, std::uint32_t> graph_of_;
  std::deque<ExpressionId> pending_;
  RuleGraph current_;
  std::size_t states_ = 0;  // of all graphs
};

}  // namespace carat
