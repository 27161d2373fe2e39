// The loop that writes: sample, hand over, feed, until something says stop.
#pragma once
#include <algorithm>
#include <concepts>
#include <optional>
#include <vector>

#include "engine/lookup.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/token_filter.h"

namespace carat {

enum class StopReason : std::uint8_t {
  end_token,     // the model said it is done, or Limits::filter did
  token_limit,   // Limits::max_tokens
  context_full,  // no room for another token
  filtered,      // no token is left by Limits::filter
  cancelled,     // on_token said so, or the stop token
};

struct Limits {
  std::size_t max_tokens = 0;
  std::span<const TokenId> end_tokens;
  TokenFilter* filter = nullptr;  // what may be written; none: anything
  TokenId* end_token = nullptr;   // where to say which of them it was
};

// Takes the tokens that `filter` does not allow out of `logits`, which then lie in `room`. How the answer ends, where
// that leaves nothing to choose from. Without a filter, nothing happens.
inline std::optional<StopReason> apply_filter(TokenFilter* filter, std::span<const float>& logits,
                                              std::vector<float>& room) {
  if (filter == nullptr) return std::nullopt;
  room.assign(logits.begin(), logits.end());
  logits = room;
  switch (filter->mask(room)) {
    case TokenFilter::Next::end:
      return StopReason::end_token;
    case TokenFilter::Next::none:
      return StopReason::filtered;
    case TokenFilter::Next::tokens:
      break;
  }
  return std::nullopt;
}

// Writes from the logits of what `session` was last fed. Each token goes to `on_token`, which returns false to cancel,
// and then into the session; an end token goes to neither, and the last token of a reply that was cut short is not fed.
// With a `drafter`, which knows the text so far, the session reads ahead where it can; the tokens are the same. The
// logits that go with a token are those it was chosen from, before the filter.
template <std::predicate<TokenId, std::span<const float>> OnToken>
StopReason generate(Session& session, Sampler& sampler, std::span<const float> logits, const Limits& limits,
                    OnToken on_token, const std::stop_token& stop = {}, Drafter* drafter = nullptr) {
  LookAhead ahead(session, drafter);
  std::vector<float> allowed;
  for (std::size_t n = 0; n < limits.max_tokens; ++n) {
    const std::span<const float> unfiltered = logits;
    if (const auto end = apply_filter(limits.filter, logits, allowed)) return *end;
    const TokenId token = sampler.pick(logits);
    if (std::ranges::find(limits.end_tokens, token) != limits.end_tokens.end()) {
      if (limits.end_token != nullptr) *limits.end_token = token;
      return StopReason::end_token;
    }
    if (limits.filter != nullptr) limits.filter->accept(token);
    if (!on_token(token, unfiltered)) return StopReason::cancelled;
    if (n + 1 == limits.max_tokens) break;
    if (ahead.room() == 0) return StopReason::context_full;
    sampler.note(token);
    logits = ahead.feed(token, limits.max_tokens - n - 2, stop);
    if (logits.empty()) return StopReason::cancelled;
  }
  return StopReason::token_limit;
}

}  // namespace carat
