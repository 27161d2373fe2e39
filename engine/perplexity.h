// How well a model foresees a text: the measure of a conversion's quality.
#pragma once
#include "engine/session.h"

namespace carat {

// -ln softmax(logits)[token].
double surprise(std::span<const float> logits, TokenId token);

struct CrossEntropy {
  std::size_t tokens = 0;  // foreseen: each but the first of every window
  double total = 0;        // nats
  bool stopped = false;    // cut short
  double per_token() const { return total / static_cast<double>(tokens); }
};

// Reads `ids` from an empty session, in windows of its context, each begun with `first` if that is an id (>= 0).
CrossEntropy cross_entropy(Session& session, std::span<const TokenId> ids, TokenId first,
                           const std::stop_token& stop = {});

}  // namespace carat
