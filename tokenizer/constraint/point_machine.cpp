#include "tokenizer/constraint/point_machine.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

constexpr std::size_t kMaxStates = 4096;         // of the machine
constexpr std::size_t kMaxGraphStates = 20'000;  // of an expression, its repetitions written out
constexpr std::size_t kMaxWork = 20'000'000;     // a second or so

[[noreturn]] void refuse() {
  throw BadConstraint("'pattern', 'format' and limits on the length together take more than " +
                      std::to_string(kMaxStates) + " states; a smaller 'maxLength' or simpler pattern takes fewer");
}

// An expression as a graph: from state 0 to `end`, with edges that take nothing (Thompson, 1968).
class PointGraph {
 public:
  PointGraph(const Grammar& grammar, ExpressionId id) : grammar_(grammar) { end_ = add(id, add_state()); }

  struct State {
    std::vector<std::uint32_t> silent;
    const CodePoints* points = nullptr;  // that lead to `to`
    std::uint32_t to = 0;
  };
  const State& operator[](std::uint32_t state) const { return states_[state]; }
  std::uint32_t end() const { return end_; }

  // Adds all that silent edges lead to; ascending.
  void close(std::vector<std::uint32_t>& states) const {
    std::set<std::uint32_t> seen(states.begin(), states.end());
    for (std::size_t i = 0; i < states.size(); ++i) {
      for (const std::uint32_t to : states_[states[i]].silent)
        if (seen.insert(to).second) states.push_back(to);
    }
    states.assign(seen.begin(), seen.end());
  }

 private:
  std::uint32_t add_state() {
    if (states_.size() == kMaxGraphStates) refuse();
    states_.emplace_back();
    return static_cast<std::uint32_t>(states_.size() - 1);
  }

  std::uint32_t add(ExpressionId id, std::uint32_t from) {
    const Expression& e = grammar_[id];
    switch (e.kind) {
      case Expression::Kind::points: {
        const std::uint32_t start = add_state(), to = add_state();
        states_[from].silent.push_back(start);
        states_[start].points = &e.points;
        states_[start].to = to;
        return to;
      }
      case Expression::Kind::sequence:
        for (const ExpressionId child : e.children) from = add(child, from);
        return from;
      case Expression::Kind::choice: {
        const std::uint32_t end = add_state();
        for (const ExpressionId child : e.children) {
          const std::uint32_t to = add(child, from);
          states_[to].silent.push_back(end);
        }
        return end;
      }
      default:
        assert(e.kind == Expression::Kind::repeat);
        return add_repeat(e, from);
    }
  }

  std::uint32_t add_repeat(const Expression& repeat, std::uint32_t from) {
    for (std::uint32_t i = 0; i < repeat.min; ++i) from = add(repeat.children[0], from);
    const std::uint32_t end = add_state();
    if (repeat.max == kNoLimit) {  // a loop of its own, which nothing else leads back to
      const std::uint32_t back = add(repeat.children[0], end);
      states_[from].silent.push_back(end);
      states_[back].silent.push_back(end);
      return end;
    }
    for (std::uint32_t i = repeat.min; i < repeat.max; ++i) {
      states_[from].silent.push_back(end);
      from = add(repeat.children[0], from);
    }
    states_[from].silent.push_back(end);
    return end;
  }

  const Grammar& grammar_;
  std::vector<State> states_;
  std::uint32_t end_ = 0;
};

// Where the graphs may be after a text, each in any of its states, and how long the text is as far as it matters.
struct Place {
  std::vector<std::vector<std::uint32_t>> in;
  std::uint32_t length = 0;
  auto operator<=>(const Place&) const = default;
};

class Intersection {
 public:
  Intersection(const Grammar& grammar, std::span<const ExpressionId> expressions, std::uint32_t min, std::uint32_t max)
      : min_(min), max_(max) {
    for (const ExpressionId id : expressions) graphs_.emplace_back(grammar, id);
  }

  PointMachine make() {
    Place start;
    for (const PointGraph& graph : graphs_) {
      start.in.push_back({0});
      graph.close(start.in.back());
    }
    (void)state_of(std::move(start));
    for (std::size_t i = 0; i < places_.size(); ++i) follow(i);
    return trimmed();
  }

 private:
  std::uint32_t state_of(Place place) {
    const auto [at, is_new] = known_.try_emplace(std::move(place), static_cast<std::uint32_t>(places_.size()));
    if (!is_new) return at->second;
    if (places_.size() == kMaxStates) refuse();
    places_.push_back(&at->first);
    PointMachine::State state;
    state.accepting = at->first.length >= min_;
    for (std::size_t i = 0; i < graphs_.size(); ++i)
      state.accepting &= std::ranges::binary_search(at->first.in[i], graphs_[i].end());
    machine_.states.push_back(std::move(state));
    return at->second;
  }

  // All ways on, by stretches of code points that no set of an edge divides.
  void follow(std::size_t from) {
    const Place& place = *places_[from];
    if (place.length == max_) return;
    std::set<char32_t> begins;
    for (std::size_t i = 0; i < graphs_.size(); ++i) {
      for (const std::uint32_t state : place.in[i]) {
        if (graphs_[i][state].points == nullptr) continue;
        for (const CodePoints::Range& range : graphs_[i][state].points->ranges()) {
          begins.insert(range.low);
          begins.insert(range.high + 1);
        }
      }
    }
    std::map<std::uint32_t, CodePoints> ways;
    for (auto begin = begins.begin(); begin != begins.end() && std::next(begin) != begins.end(); ++begin) {
      if (auto next = place_after(place, *begin)) ways[state_of(std::move(*next))].add(*begin, *std::next(begin) - 1);
    }
    for (auto& [to, points] : ways) machine_.states[from].edges.push_back({std::move(points), to});
  }

  std::optional<Place> place_after(const Place& place, char32_t point) {
    Place next;
    next.length = max_ == kNoLimit ? std::min(place.length + 1, min_) : place.length + 1;
    for (std::size_t i = 0; i < graphs_.size(); ++i) {
      std::vector<std::uint32_t> states;
      work_ += place.in[i].size();
      if (work_ > kMaxWork) refuse();
      for (const std::uint32_t state : place.in[i]) {
        const PointGraph::State& from = graphs_[i][state];
        if (from.points != nullptr && from.points->contains(point)) states.push_back(from.to);
      }
      if (states.empty()) return std::nullopt;
      graphs_[i].close(states);
      next.in.push_back(std::move(states));
    }
    return next;
  }

  // Without the states that lead to no end.
  PointMachine trimmed() const {
    const std::vector<PointMachine::State>& all = machine_.states;
    std::vector<std::vector<std::uint32_t>> back(all.size());
    std::vector<std::uint32_t> pending;
    std::vector<bool> leads_on(all.size());
    for (std::uint32_t i = 0; i < all.size(); ++i) {
      for (const PointMachine::Edge& edge : all[i].edges) back[edge.to].push_back(i);
      if (all[i].accepting) pending.push_back(i);
    }
    while (!pending.empty()) {
      const std::uint32_t state = pending.back();
      pending.pop_back();
      if (leads_on[state]) continue;
      leads_on[state] = true;
      pending.insert(pending.end(), back[state].begin(), back[state].end());
    }
    std::vector<std::uint32_t> moved(all.size());
    std::uint32_t kept = 0;
    for (std::size_t i = 0; i < all.size(); ++i) moved[i] = leads_on[i] ? kept++ : 0;
    PointMachine machine;
    for (std::size_t i = 0; i < all.size() && leads_on[0]; ++i) {
      if (!leads_on[i]) continue;
      PointMachine::State& state = machine.states.emplace_back();
      state.accepting = all[i].accepting;
      for (const PointMachine::Edge& edge : all[i].edges)
        if (leads_on[edge.to]) state.edges.push_back({edge.points, moved[edge.to]});
    }
    return machine;
  }

  std::uint32_t min_, max_;
  std::vector<PointGraph> graphs_;
  std::map<Place, std::uint32_t> known_;
  std::vector<const Place*> places_;  // in the order of the machine's states
  PointMachine machine_;
  std::size_t work_ = 0;
};

}  // namespace

PointMachine intersection(const Grammar& grammar, std::span<const ExpressionId> expressions, std::uint32_t min,
                          std::uint32_t max) {
  return Intersection(grammar, expressions, min, max).make();
}

}  // namespace carat
