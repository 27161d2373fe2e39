// Many conversations with one model at once: sequences enter, are fed and leave, each when it likes.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/forward.h"

namespace carat {

struct BatchOptions {
  std::size_t sequences = 1;  // at once
  std::size_t context = 0;    // positions that each has room for; at least 1
  std::size_t batch = 512;    // tokens of one sequence in one step, at most
  CacheTypes cache{};
};

// Each step reads the weights once for all sequences that have something to read. What comes of a sequence is the same,
// bit for bit, in any company and alone. Not thread-safe. The model outlives it.
class Batch {
 public:
  // Reserves the memory of all contexts; it is committed as it is used. Throws std::bad_alloc, and Unsupported for a
  // type of cache that does not fit the model.
  Batch(const Model& model, const BatchOptions& options);

  // A sequence that has read nothing; none while all are taken. It is the caller's until it leaves.
  std::optional<SequenceId> enter();
  void leave(SequenceId sequence);

  // Appends `ids` (each below the vocabulary, at most room() of them) to what the sequence is to read.
  void feed(SequenceId sequence, std::span<const TokenId> ids);

  // One step. Sequences that have now read all they were fed are handed over, with the logits after the last:
  // [vocabulary], valid until the next. They may be fed or leave on the spot. A long prompt takes several steps, and
  // where not all fits into a step, sequences take turns. False when there was nothing to read, or `stop` was asked
  // for: nothing has been read then.
  using OnLogits = std::function<void(SequenceId sequence, std::span<const float> logits)>;
  bool step(const OnLogits& on_logits, const std::stop_token& stop = {});

  std::size_t position(SequenceId sequence) const { return slot(sequence).position; }
  // How many more ids the sequence can be fed.
  std::size_t room(SequenceId sequence) const;
  std::size_t cache_bytes() const { return cache_.bytes(); }

 private:
  struct Slot {
    bool taken = false;
    std::size_t position = 0;
    std::vector<TokenId> pending;  // from `next` on
    std::size_t next = 0;
    std::size_t unread() const { return pending.size() - next; }
  };
  struct Run {
    SequenceId sequence;
    std::size_t count;
  };

  Slot& slot(SequenceId sequence) { return slots_[static_cast<std::size_t>(sequence)]; }
  const Slot& slot(SequenceId sequence) const { return slots_[static_cast<std::size_t>(sequence)]; }
  void plan();
  void lay_out(const Run& run);
  void hand_over(const OnLogits& on_logits);

  const Model& model_;
  BatchOptions options_;
  std::size_t rows_;      // of a step, at most
  std::size_t turn_ = 0;  // the sequence that is looked at first
  KvCache cache_;
  Scratch scratch_;
  std::vector<Slot> slots_;

  // The step at hand: few rows first.
  std::vector<Run> few_, long_;
  std::vector<TokenId> ids_;
  std::vector<SequenceId> sequence_;
  std::vector<std::int32_t> position_;
  std::vector<SequenceId> ready_;  // sequences that have read all, and their last rows
  std::vector<std::size_t> ready_rows_;
  std::vector<float> logits_;  // [vocabulary]
};

}  // namespace carat
