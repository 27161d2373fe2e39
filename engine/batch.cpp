#include "engine/batch.h"

#include <algorithm>
#include <cassert>

namespace carat {

Batch::Batch(const Model& model, const BatchOptions& options)
    : model_(model),
      options_{options.sequences, options.context, std::min(options.batch, options.context), options.cache},
      rows_(options_.batch + options_.sequences),  // a prompt, and a token of each of the others
      cache_(model, options_.cache, options_.sequences, options_.context, options_.batch),
      scratch_(model, rows_, std::min(kLogitRows, options_.sequences)),
      slots_(options_.sequences),
      logits_(model.config.vocabulary) {
  for (auto* runs : {&few_, &long_}) runs->reserve(options_.sequences);
  for (auto* ids : {&ids_, &sequence_, &position_}) ids->reserve(rows_);
  ready_.reserve(options_.sequences);
  ready_rows_.reserve(options_.sequences);
}

std::optional<SequenceId> Batch::enter() {
  const auto free = std::ranges::find(slots_, false, &Slot::taken);
  if (free == slots_.end()) return std::nullopt;
  free->taken = true;
  free->position = free->next = 0;
  free->pending.clear();
  return static_cast<SequenceId>(free - slots_.begin());
}

void Batch::leave(SequenceId sequence) {
  slot(sequence).taken = false;
  slot(sequence).next = slot(sequence).pending.size();
}

void Batch::feed(SequenceId sequence, std::span<const TokenId> ids) {
  assert(slot(sequence).taken && ids.size() <= room(sequence));
  Slot& to = slot(sequence);
  if (to.unread() == 0) {
    to.pending.clear();
    to.next = 0;
  }
  to.pending.insert(to.pending.end(), ids.begin(), ids.end());
}

std::size_t Batch::room(SequenceId sequence) const {
  return options_.context - slot(sequence).position - slot(sequence).unread();
}

// How a sequence's ids are cut must not depend on the others: it reads as many as a step can take of one sequence, or
// waits.
void Batch::plan() {
  few_.clear();
  long_.clear();
  std::size_t left = rows_;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const std::size_t index = (turn_ + i) % slots_.size();
    const std::size_t count = std::min(slots_[index].unread(), options_.batch);
    if (count == 0 || count > left) continue;
    left -= count;
    (count <= kFewRows ? few_ : long_).push_back({static_cast<SequenceId>(index), count});
  }
  turn_ = (turn_ + 1) % slots_.size();
}

void Batch::lay_out(const Run& run) {
  const Slot& from = slot(run.sequence);
  for (std::size_t i = 0; i < run.count; ++i) {
    ids_.push_back(from.pending[from.next + i]);
    sequence_.push_back(run.sequence);
    position_.push_back(static_cast<std::int32_t>(from.position + i));
  }
  if (from.unread() > run.count) return;
  ready_.push_back(run.sequence);
  ready_rows_.push_back(ids_.size() - 1);
}

bool Batch::step(const OnLogits& on_logits, const std::stop_token& stop) {
  plan();
  ids_.clear();
  sequence_.clear();
  position_.clear();
  ready_.clear();
  ready_rows_.clear();
  for (const Run& run : few_) lay_out(run);
  const std::size_t few = ids_.size();
  for (const Run& run : long_) lay_out(run);
  if (ids_.empty() || !forward(model_, cache_, scratch_, ids_, {sequence_, position_, few}, stop)) return false;
  for (const auto* runs : {&few_, &long_}) {
    for (const Run& run : *runs) {
      slot(run.sequence).position += run.count;
      slot(run.sequence).next += run.count;
    }
  }
  hand_over(on_logits);
  return true;
}

void Batch::hand_over(const OnLogits& on_logits) {
  for (std::size_t first = 0; first < ready_.size();) {
    const std::size_t count = std::min(scratch_.logits.rows, ready_.size() - first);
    const Tensor logits = project(model_, scratch_, std::span(ready_rows_).subspan(first, count), count);
    for (std::size_t i = 0; i < count; ++i, ++first) {
      model_.output_backend().read(logits_, row_view(logits, i, 1));
      on_logits(ready_[first], logits_);
    }
  }
}

}  // namespace carat
