#include "app/turns.h"

#include <algorithm>

namespace carat {

Turns::Turns(const Model& model, const TurnsOptions& options)
    : model_(model), options_(options), slots_(options.sequences) {}

std::optional<SequenceId> Turns::enter() {
  const auto free = std::ranges::find(slots_, false, &Slot::taken);
  if (free == slots_.end()) return std::nullopt;
  if (free->session == nullptr) {
    free->session = std::make_unique<Session>(model_, SessionOptions{options_.context, options_.batch});
  }
  free->taken = true;
  free->session->rewind(0);
  free->pending.clear();
  free->next = 0;
  return static_cast<SequenceId>(free - slots_.begin());
}

void Turns::leave(SequenceId sequence) {
  slot(sequence).taken = false;
  slot(sequence).next = slot(sequence).pending.size();
}

void Turns::feed(SequenceId sequence, std::span<const TokenId> ids) {
  Slot& to = slot(sequence);
  if (to.unread() == 0) {
    to.pending.clear();
    to.next = 0;
  }
  to.pending.insert(to.pending.end(), ids.begin(), ids.end());
}

bool Turns::step(const OnLogits& on_logits, const std::stop_token& stop) {
  bool has_read = false;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& at = slots_[i];
    if (at.unread() == 0) continue;
    const auto part = std::span(at.pending).subspan(at.next, std::min(at.unread(), options_.batch));
    const auto logits = at.session->feed(part, stop);
    if (logits.empty()) return false;
    has_read = true;
    at.next += part.size();
    if (at.unread() == 0) on_logits(static_cast<SequenceId>(i), logits);
  }
  return has_read;
}

std::size_t Turns::cache_bytes() const {
  std::size_t bytes = 0;
  for (const Slot& at : slots_)
    if (at.session != nullptr) bytes += at.session->cache_bytes();
  return bytes;
}

}  // namespace carat
