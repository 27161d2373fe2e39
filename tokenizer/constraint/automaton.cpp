#include "tokenizer/constraint/automaton.h"

#include <algorithm>
#include <array>

#include "tokenizer/constraint/bad_constraint.h"
#include "tokenizer/constraint/rule_graph.h"

namespace carat {
namespace {

constexpr std::size_t kMaxStates = 100'000;
constexpr std::size_t kWorthwhileWork = 2'000'000;  // for one rule
constexpr std::size_t kMaxWork = 10'000'000;        // of putting states together: a second or so

// Which states of the graphs lead to an end, and which rules have a text of a byte or more: only these can be called.
class Reach {
 public:
  explicit Reach(const std::vector<RuleGraph>& graphs) : graphs_(graphs), callable_(graphs.size()) { find_callable(); }

  bool callable(std::uint32_t rule) const { return callable_[rule]; }

  // Of each state of a rule: whether its end can be reached.
  std::vector<bool> ends(const RuleGraph& graph) const {
    std::vector<std::vector<std::uint32_t>> back(graph.states.size());
    for (std::uint32_t from = 0; from < graph.states.size(); ++from) {
      const RuleGraph::State& state = graph.states[from];
      for (const std::uint32_t to : state.silent) back[to].push_back(from);
      for (const auto& edge : state.edges) back[edge.to].push_back(from);
      for (const auto& call : state.calls) {
        if (callable_[call.rule]) back[call.to].push_back(from);
      }
    }
    std::vector<bool> reached(graph.states.size());
    std::vector<std::uint32_t> pending{graph.end};
    reached[graph.end] = true;
    while (!pending.empty()) {
      const std::uint32_t state = pending.back();
      pending.pop_back();
      for (const std::uint32_t from : back[state]) {
        if (!reached[from]) pending.push_back(from);
        reached[from] = true;
      }
    }
    return reached;
  }

 private:
  struct Site {
    std::uint32_t graph, to;  // the state behind a call
  };

  // Follows all rules from their starts at once. What is behind a call is reached once the rule that is called is
  // found to have a text, so that everything is gone through once.
  void find_callable() {
    enum : std::uint8_t { by_nothing = 1, by_something = 2 };  // taken on the way
    struct Visit {
      std::uint32_t graph, state;
      std::uint8_t taken;
    };
    std::vector<std::vector<std::uint8_t>> reached(graphs_.size());
    std::vector<std::vector<Site>> waiting(graphs_.size());  // for a rule that may not be called yet
    std::vector<Visit> pending;
    const auto visit = [&](std::uint32_t graph, std::uint32_t state, std::uint8_t taken) {
      if ((reached[graph][state] & taken) != 0) return;
      reached[graph][state] |= taken;
      pending.push_back({graph, state, taken});
    };
    for (std::uint32_t i = 0; i < graphs_.size(); ++i) {
      reached[i].resize(graphs_[i].states.size());
      visit(i, 0, by_nothing);
    }
    while (!pending.empty()) {
      const auto [graph, id, taken] = pending.back();
      pending.pop_back();
      const RuleGraph::State& state = graphs_[graph].states[id];
      for (const std::uint32_t to : state.silent) visit(graph, to, taken);
      for (const auto& edge : state.edges) visit(graph, edge.to, by_something);
      for (const auto& call : state.calls) {
        if (callable_[call.rule]) {
          visit(graph, call.to, by_something);
        } else {
          waiting[call.rule].push_back({graph, call.to});
        }
      }
      if (id != graphs_[graph].end || taken != by_something || callable_[graph]) continue;
      callable_[graph] = true;
      for (const Site& site : waiting[graph]) visit(site.graph, site.to, by_something);
    }
  }

  const std::vector<RuleGraph>& graphs_;
  std::vector<bool> callable_;
};

using Subset = std::vector<std::uint32_t>;  // ascending

struct SubsetHash {
  std::size_t operator()(const Subset& subset) const {
    std::size_t hash = subset.size();
    for (const std::uint32_t state : subset) hash = (hash ^ state) * 0x9E3779B97F4A7C15U + (hash >> 29);
    return hash;
  }
};

}  // namespace

// Writes the rules into an automaton, one state for each set of states that a text may lead to, while these are few.
class Determiniser {
 public:
  Determiniser(Automaton& automaton, const std::vector<RuleGraph>& graphs, const Reach& reach)
      : out_(automaton), graphs_(graphs), reach_(reach) {}

  std::size_t work() const { return work_; }

  void add(std::uint32_t rule) {
    graph_ = &graphs_[rule];
    can_end_ = reach_.ends(*graph_);
    mark_.assign(graph_->states.size(), 0);
    round_ = 0;
    base_ = static_cast<std::uint32_t>(out_.states_.size());
    out_.rules_.push_back({graph_->name, base_, graph_->is_short});
    const std::size_t edges = out_.edges_.size(), calls = out_.calls_.size();
    const std::size_t most_work = work_ + kWorthwhileWork;
    merges_ = true;
    begin();
    for (std::size_t i = 0; i < subsets_.size() && merges_; ++i) {
      write(Subset(subsets_[i]), i == 0);
      merges_ = subsets_.size() <= 4 * graph_->states.size() + 1000 && work_ <= most_work;
    }
    if (merges_) return;
    // The sets of states are too many, as of "the fifth letter from the end": a text leads to several states then.
    out_.states_.resize(base_);
    out_.edges_.resize(edges);
    out_.calls_.resize(calls);
    begin();
    for (std::size_t i = 0; i < subsets_.size(); ++i) write(Subset(subsets_[i]), i == 0);
  }

 private:
  // The start is a state of its own, that nothing leads back to: to end there would be to take nothing.
  void begin() {
    subsets_.clear();
    known_ = {};  // clear() would go over as many buckets as the largest rule has needed
    subsets_.push_back(closure({0}));
  }

  // What is reached without taking anything, as far as it matters: states with edges, and the end.
  Subset closure(const Subset& from) {
    ++round_;
    Subset pending, found;
    const auto visit = [&](std::uint32_t state) {
      if (mark_[state] == round_ || !can_end_[state]) return;
      mark_[state] = round_;
      pending.push_back(state);
    };
    for (const std::uint32_t state : from) visit(state);
    while (!pending.empty()) {
      const std::uint32_t id = pending.back();
      pending.pop_back();
      const RuleGraph::State& state = graph_->states[id];
      if (id == graph_->end || !state.edges.empty() || !state.calls.empty()) found.push_back(id);
      for (const std::uint32_t to : state.silent) visit(to);
      work_ += 1 + state.silent.size();
    }
    if (work_ > kMaxWork) throw BadConstraint("too large: it takes too long to prepare");
    std::ranges::sort(found);
    return found;
  }

  Automaton::StateId state_of(const Subset& targets) {
    const auto [place, is_new] =
        known_.try_emplace(closure(targets), static_cast<std::uint32_t>(base_ + subsets_.size()));
    if (is_new) {
      if (place->second >= kMaxStates)
        throw BadConstraint("too large: more than " + std::to_string(kMaxStates) + " states");
      subsets_.push_back(place->first);
    }
    return place->second;
  }

  void write(const Subset& subset, bool is_start) {
    const bool accepting = !is_start && std::ranges::binary_search(subset, graph_->end);
    out_.states_.push_back(
        {static_cast<std::uint32_t>(out_.edges_.size()), static_cast<std::uint32_t>(out_.calls_.size()), accepting});
    write_edges(subset);
    write_calls(subset);
  }

  void write_edges(const Subset& subset) {
    std::array<bool, 257> cuts{};
    std::vector<Automaton::Edge> edges;
    for (const std::uint32_t id : subset) {
      for (const auto& edge : graph_->states[id].edges) {
        if (!can_end_[edge.to]) continue;
        edges.push_back(edge);
        cuts[edge.low] = cuts[std::size_t{edge.high} + 1] = true;
      }
    }
    if (!merges_) {
      std::ranges::sort(edges, {}, [](const auto& edge) { return std::pair(edge.low, edge.to); });
      for (auto& edge : edges) out_.edges_.push_back({edge.low, edge.high, state_of({edge.to})});
      return;
    }
    const std::size_t first = out_.edges_.size();
    for (unsigned low = 0, high = 0; low < 256 && !edges.empty(); low = high + 1) {
      for (high = low; !cuts[high + 1] && high < 255;) ++high;
      Subset targets;
      for (const auto& edge : edges) {
        if (edge.low <= low && low <= edge.high) targets.push_back(edge.to);
      }
      work_ += edges.size();
      if (targets.empty()) continue;
      const Automaton::StateId to = state_of(targets);
      const bool extends =
          out_.edges_.size() > first && out_.edges_.back().to == to && out_.edges_.back().high + 1U == low;
      if (extends) {
        out_.edges_.back().high = static_cast<std::uint8_t>(high);
      } else {
        out_.edges_.push_back({static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(high), to});
      }
    }
  }

  void write_calls(const Subset& subset) {
    std::vector<Automaton::Call> calls;
    for (const std::uint32_t id : subset) {
      for (const auto& call : graph_->states[id].calls) {
        if (can_end_[call.to] && reach_.callable(call.rule)) calls.push_back(call);
      }
    }
    const auto key = [](const Automaton::Call& call) { return std::array{call.rule, call.min, call.max}; };
    std::ranges::sort(calls, {}, key);
    for (std::size_t i = 0; i < calls.size();) {
      Subset targets;
      const auto same = key(calls[i]);
      const Automaton::Call call = calls[i];
      for (; i < calls.size() && key(calls[i]) == same && (merges_ || targets.empty()); ++i) {
        targets.push_back(calls[i].to);
      }
      out_.calls_.push_back({call.rule, state_of(targets), call.min, call.max});
    }
  }

  Automaton& out_;
  const std::vector<RuleGraph>& graphs_;
  const Reach& reach_;
  const RuleGraph* graph_ = nullptr;
  std::vector<bool> can_end_;
  std::vector<std::uint32_t> mark_;  // the round in which a state was last visited
  std::uint32_t round_ = 0;
  std::vector<Subset> subsets_;
  std::unordered_map<Subset, std::uint32_t, SubsetHash> known_;
  std::uint32_t base_ = 0;
  std::size_t work_ = 0;
  bool merges_ = true;  // sets of states into one
};

Automaton::Automaton(const Grammar& grammar) {
  RuleGraphs builder(grammar);
  accepts_nothing_ = builder.root_is_nullable();
  const std::vector<RuleGraph> graphs = builder.take();
  const Reach reach(graphs);
  if (!accepts_nothing_ && !reach.callable(0)) throw BadConstraint("no text meets it");
  Determiniser determiniser(*this, graphs, reach);
  for (std::uint32_t i = 0; i < graphs.size(); ++i) determiniser.add(i);
  work_ = determiniser.work();
  states_.push_back({static_cast<std::uint32_t>(edges_.size()), static_cast<std::uint32_t>(calls_.size()), false});
  refuse_left_recursion();
}

// Takes away rules that begin with no rule that is left; what cannot be taken away goes in circles.
void Automaton::refuse_left_recursion() const {
  std::vector<std::vector<std::uint32_t>> begun_by(rules_.size());
  std::vector<std::size_t> begins_with(rules_.size());
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    for (const Call& call : calls(rules_[i].start)) {
      begun_by[call.rule].push_back(i);
      ++begins_with[i];
    }
  }
  std::vector<std::uint32_t> pending;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    if (begins_with[i] == 0) pending.push_back(i);
  }
  while (!pending.empty()) {
    const std::uint32_t rule = pending.back();
    pending.pop_back();
    for (const std::uint32_t other : begun_by[rule]) {
      if (--begins_with[other] == 0) pending.push_back(other);
    }
  }
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    if (begins_with[i] > 0) throw BadConstraint(rules_[i].name + ": begins with itself (left recursion)");
  }
}

}  // namespace carat
