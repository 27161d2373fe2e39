// Several conversations with one model, which take turns: sequences enter, are fed and leave, each when it likes.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/session.h"

namespace carat {

struct TurnsOptions {
  std::size_t sequences = 1;  // at once
  std::size_t context = 0;    // positions that each has room for; at least 1
  std::size_t batch = 512;    // tokens of one turn, at most
};

// What comes of a sequence is the same in any company and alone. Not thread-safe. The model outlives it.
class Turns {
 public:
  Turns(const Model& model, const TurnsOptions& options);

  // A sequence that has read nothing; none while all are taken. It is the caller's until it leaves.
  std::optional<SequenceId> enter();
  void leave(SequenceId sequence);

  // Appends `ids` (each below the vocabulary, at most room() of them) to what the sequence is to read.
  void feed(SequenceId sequence, std::span<const TokenId> ids);

  // A turn for each. Sequences that have now read all they were fed are handed over, with the logits after the last:
  // [vocabulary], valid until the next. They may be fed or leave on the spot. A long prompt takes several turns. False
  // when there was nothing to read, or `stop` was asked for.
  using OnLogits = std::function<void(SequenceId sequence, std::span<const float> logits)>;
  bool step(const OnLogits& on_logits, const std::stop_token& stop = {});

  std::size_t position(SequenceId sequence) const { return slot(sequence).session->position(); }
  // How many more ids the sequence can be fed.
  std::size_t room(SequenceId sequence) const { return slot(sequence).session->room() - slot(sequence).unread(); }
  std::size_t cache_bytes() const;

 private:
  struct Slot {
    bool taken = false;
    std::unique_ptr<Session> session;  // made when it is first needed
    std::vector<TokenId> pending;      // from `next` on
    std::size_t next = 0;
    std::size_t unread() const { return pending.size() - next; }
  };

  Slot& slot(SequenceId sequence) { return slots_[static_cast<std::size_t>(sequence)]; }
  const Slot& slot(SequenceId sequence) const { return slots_[static_cast<std::size_t>(sequence)]; }

  const Model& model_;
  TurnsOptions options_;
  std::vector<Slot> slots_;
};

}  // namespace carat
