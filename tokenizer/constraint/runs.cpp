#include "tokenizer/constraint/runs.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

constexpr std::size_t kMaxRuns = 4096;
constexpr const char* kTooAmbiguous = "the grammar is too ambiguous: it can be read in too many ways";

std::size_t mix(std::size_t hash, std::uint64_t value) {
  hash ^= value;
  hash *= 0x9E3779B97F4A7C15U;
  return hash ^ (hash >> 32);
}

std::uint64_t pair_of(std::uint32_t high, std::uint32_t low) { return std::uint64_t{high} << 32 | low; }

}  // namespace

std::size_t Runs::Hash::operator()(const Frame& f) const {
  return mix(mix(mix(f.rule, pair_of(f.below, f.to)), pair_of(f.min_left, f.max_left)), 1);
}

std::size_t Runs::Hash::operator()(const std::pair<std::vector<Run>, bool>& set) const {
  std::size_t hash = set.second ? 1 : 2;
  for (const Run& run : set.first) hash = mix(hash, pair_of(run.state, run.stack));
  return hash;
}

Runs::Runs(const Automaton& automaton) : automaton_(automaton) { clear(); }

void Runs::clear() {
  frames_.assign(1, Frame{});
  sets_.clear();
  sets_.emplace_back();
  frame_ids_.clear();
  set_ids_.clear();
  set_ids_.emplace(std::pair(std::vector<Run>(), false), kNone);
}

Runs::FrameId Runs::push(const Frame& frame) {
  const auto [place, is_new] = frame_ids_.try_emplace(frame, static_cast<FrameId>(frames_.size()));
  if (is_new) frames_.push_back(frame);
  return place->second;
}

Runs::SetId Runs::set_of(std::vector<Run> runs, bool complete) {
  pending_ = std::move(runs);
  complete_ = complete;
  return close();
}

Runs::SetId Runs::returned(FrameId stack) {
  pending_.clear();
  complete_ = false;
  return_to(stack);
  return close();
}

Runs::SetId Runs::find_next(SetId set, std::uint8_t byte) {
  pending_.clear();
  complete_ = false;
  for (const Run& run : sets_[set].runs) {
    for (const Automaton::Edge& edge : automaton_.edges(run.state)) {
      if (edge.low > byte) break;
      if (edge.high >= byte) pending_.push_back({edge.to, run.stack});
    }
  }
  const SetId found = close();
  auto& next = sets_[set].next;
  if (next == nullptr) {
    next = std::make_unique<std::array<SetId, 256>>();
    next->fill(kUnknown);
  }
  (*next)[byte] = found;
  return found;
}

Runs::SetId Runs::close() {
  std::unordered_set<std::uint64_t> seen;
  std::vector<Run> ready;
  while (!pending_.empty()) {
    const Run run = pending_.back();
    pending_.pop_back();
    if (!seen.insert(pair_of(run.state, run.stack)).second) continue;
    if (seen.size() > kMaxRuns) throw BadConstraint(kTooAmbiguous);
    work_ += kCompared;
    if (!automaton_.edges(run.state).empty()) ready.push_back(run);
    for (const Automaton::Call& next : automaton_.calls(run.state)) call(next, run.stack);
    if (automaton_.accepting(run.state)) return_to(run.stack);
  }
  std::ranges::sort(ready);
  drop_weaker(ready);
  std::pair key(std::move(ready), complete_);
  if (const auto known = set_ids_.find(key); known != set_ids_.end()) return known->second;
  if (sets_.size() == kMaxSets) throw BadConstraint(kTooAmbiguous);
  const auto id = static_cast<SetId>(sets_.size());
  sets_.push_back({key.first, complete_, nullptr});
  set_ids_.emplace(std::move(key), id);
  return id;
}

void Runs::drop_weaker(std::vector<Run>& runs) {
  std::vector<Run> kept;
  for (std::size_t begin = 0; begin < runs.size();) {
    const std::size_t first_kept = kept.size();
    std::size_t end = begin;
    for (; end < runs.size() && runs[end].state == runs[begin].state; ++end) {
      const auto others = kept.begin() + static_cast<std::ptrdiff_t>(first_kept);  // of the same state
      const Run& run = runs[end];
      const auto covers_run = [&](const Run& other) { return covers(other.stack, run.stack); };
      if (std::any_of(others, kept.end(), covers_run)) continue;
      const auto is_weaker = [&](const Run& other) { return covers(run.stack, other.stack); };
      kept.erase(std::remove_if(others, kept.end(), is_weaker), kept.end());
      kept.push_back(run);
    }
    begin = end;
  }
  runs = std::move(kept);
}

// Whether what may follow the other stack may follow this one too: the same calls, each with a count as free or freer.
bool Runs::covers(FrameId stack, FrameId other) {
  while (stack != other) {
    ++work_;
    if (stack == kBottom || other == kBottom) return false;
    const Frame& mine = frames_[stack];
    const Frame& its = frames_[other];
    if (mine.to != its.to || (its.max_left > 0 && mine.rule != its.rule)) return false;
    if (mine.min_left > its.min_left || mine.max_left < its.max_left) return false;
    stack = mine.below;
    other = its.below;
  }
  return true;
}

void Runs::call(const Automaton::Call& call, FrameId stack) {
  const StateId start = automaton_.rule(call.rule).start;
  if (call.max == 1 && automaton_.is_end(call.to)) {  // nothing is left to do there: lists by recursion stay flat
    pending_.push_back({start, stack});
    return;
  }
  const std::uint32_t min_left = std::max(call.min, 1U) - 1;
  const std::uint32_t max_left = call.max == kNoLimit ? kNoLimit : call.max - 1;
  pending_.push_back({start, push({stack, call.to, max_left == 0 ? 0 : call.rule, min_left, max_left})});
}

void Runs::return_to(FrameId stack) {
  if (stack == kBottom) {
    complete_ = true;
    return;
  }
  const Frame frame = frames_[stack];
  if (frame.min_left == 0) pending_.push_back({frame.to, frame.below});
  if (frame.max_left == 0) return;
  const std::uint32_t min_left = frame.min_left == 0 ? 0 : frame.min_left - 1;
  const std::uint32_t max_left = frame.max_left == kNoLimit ? kNoLimit : frame.max_left - 1;
  const FrameId again = push({frame.below, frame.to, max_left == 0 ? 0 : frame.rule, min_left, max_left});
  pending_.push_back({automaton_.rule(frame.rule).start, again});
}

Runs::SetId Runs::tidy(SetId set) {
  if (!is_large()) return set;
  std::vector<Run> runs = sets_[set].runs;
  const bool complete = sets_[set].complete;
  const std::vector<Frame> old = std::move(frames_);
  clear();
  std::unordered_map<FrameId, FrameId> moved{{kBottom, kBottom}};
  for (Run& run : runs) {
    std::vector<FrameId> chain;
    for (FrameId id = run.stack; !moved.contains(id); id = old[id].below) chain.push_back(id);
    for (; !chain.empty(); chain.pop_back()) {
      Frame frame = old[chain.back()];
      frame.below = moved.at(frame.below);
      moved.emplace(chain.back(), push(frame));
    }
    run.stack = moved.at(run.stack);
  }
  return set_of(std::move(runs), complete);
}

}  // namespace carat
