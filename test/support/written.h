// What a session writes with somebody's drafts, to be compared with what it writes without.
#pragma once
#include <string>
#include <vector>

#include "engine/generate.h"
#include "test/support/tiny_model.h"

namespace carat::test {

inline TinyShape draft_shape(const std::string& family, unsigned seed = TinyShape().seed) {
  TinyShape shape;
  shape.architecture = family;
  shape.dtype = DType::q8_0;
  shape.seed = seed;
  if (family == "gemma3") shape.layers = 7;
  return shape;
}

// Tokens that come round again.
inline std::vector<TokenId> circles(std::size_t count) {
  std::vector<TokenId> ids(count);
  for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<TokenId>(i % 11 + 3);
  return ids;
}

struct Written {
  std::vector<TokenId> ids;
  StopReason reason;
  std::size_t position;
  std::vector<float> next;  // logits after one token more
  bool operator==(const Written&) const = default;
};

// `drafter`, if there is one, knows the prompt. The writing is cancelled after so many tokens.
inline Written write_with(Drafter* drafter, const Model& model, const SessionOptions& options,
                          const SamplingOptions& sampling, const std::vector<TokenId>& prompt, std::size_t tokens,
                          std::size_t cancel_after = 1000) {
  Session session(model, options);
  Sampler sampler(sampling, model.config.vocabulary);
  for (const TokenId id : prompt) sampler.note(id);
  Written written;
  const auto keep = [&](TokenId id, auto) {
    written.ids.push_back(id);
    return written.ids.size() < cancel_after;
  };
  written.reason = generate(session, sampler, session.feed(prompt), {tokens, {}}, keep, {}, drafter);
  written.position = session.position();
  if (session.room() > 0) {
    const auto logits = session.feed(std::span(prompt).first(1));
    written.next.assign(logits.begin(), logits.end());
  }
  return written;
}

}  // namespace carat::test
