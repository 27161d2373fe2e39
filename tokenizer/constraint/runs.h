// The ways that an automaton may have gone over a text, all at once.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tokenizer/constraint/automaton.h"

namespace carat {

// A set of runs is what determinises the automaton: it is made when a text first leads to it, and known by its id from
// then on. A run is a state and a stack of calls, which ends at the bottom: whoever started it knows what lies below.
// Not thread-safe.
class Runs {
 public:
  using SetId = std::uint32_t;
  using FrameId = std::uint32_t;
  using StateId = Automaton::StateId;

  static constexpr SetId kNone = 0;      // no run is left
  static constexpr FrameId kBottom = 0;  // the empty stack

  // A call that goes on.
  struct Frame {
    FrameId below = kBottom;
    StateId to = 0;                                      // where its caller goes on
    std::uint32_t rule = 0, min_left = 0, max_left = 0;  // of a counted repetition: the rounds that may follow
    bool operator==(const Frame&) const = default;
  };
  struct Run {
    StateId state;
    FrameId stack;
    auto operator<=>(const Run&) const = default;
  };

  explicit Runs(const Automaton& automaton);

  // The set of what these runs may do next. `complete`: one more has come to its end.
  SetId set_of(std::vector<Run> runs, bool complete = false);
  // The runs after that one's rule has ended; stack is not the bottom.
  SetId returned(FrameId stack);
  FrameId push(const Frame& frame);
  const Frame& frame(FrameId id) const { return frames_[id]; }

  SetId next(SetId set, std::uint8_t byte) {
    if (sets_[set].next != nullptr) {
      const SetId known = (*sets_[set].next)[byte];
      if (known != kUnknown) return known;
    }
    return find_next(set, byte);
  }
  bool complete(SetId set) const { return sets_[set].complete; }  // a run has ended
  const std::vector<Run>& runs(SetId set) const { return sets_[set].runs; }

  // Forgets all sets but this one, whose new id it returns, when there are too many.
  SetId tidy(SetId set);
  void clear();
  // Grows with the time that sets took to make; ten million is a second or so.
  std::size_t work() const { return work_ / kCompared; }
  bool is_large() const { return sets_.size() > kManySets || frames_.size() > kManyFrames; }

 private:
  static constexpr SetId kUnknown = ~SetId{0};
  static constexpr std::size_t kManySets = 20'000;  // a kilobyte each
  static constexpr std::size_t kManyFrames = 1'000'000;
  static constexpr std::size_t kMaxSets = 200'000;
  static constexpr std::size_t kCompared = 8;  // calls that are compared while a run is followed

  struct Set {
    std::vector<Run> runs;  // those with a byte to take
    bool complete = false;
    std::unique_ptr<std::array<SetId, 256>> next;
  };
  struct Hash {
    std::size_t operator()(const Frame& frame) const;
    std::size_t operator()(const std::pair<std::vector<Run>, bool>& set) const;
  };

  SetId find_next(SetId set, std::uint8_t byte);
  // Follows calls and returns from `pending_` until only runs with a byte to take are left.
  SetId close();
  // Takes away runs that can do nothing that another cannot: of a repetition within a repetition, counts in all
  // combinations would be left.
  void drop_weaker(std::vector<Run>& runs);
  bool covers(FrameId stack, FrameId other);
  void call(const Automaton::Call& call, FrameId stack);
  void return_to(FrameId stack);

  const Automaton& automaton_;
  std::vector<Frame> frames_;
  std::vector<Set> sets_;
  std::unordered_map<Frame, FrameId, Hash> frame_ids_;
  std::unordered_map<std::pair<std::vector<Run>, bool>, SetId, Hash> set_ids_;
  std::vector<Run> pending_;  // of a set that is being made
  bool complete_ = false;
  std::size_t work_ = 0;
};

}  // namespace carat
