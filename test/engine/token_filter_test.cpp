#include "engine/token_filter.h"

#include <cmath>

#include "engine/generate.h"
#include "test/support/catch.h"
#include "test/support/tiny_model.h"

namespace carat {
namespace {

// Leaves one token at a time, then the end, or nothing.
class OneAtATime : public TokenFilter {
 public:
  OneAtATime(std::vector<TokenId> tokens, Next last) : tokens_(std::move(tokens)), last_(last) {}

  Next mask(std::span<float> logits) override {
    if (accepted.size() == tokens_.size()) return last_;
    const auto kept = static_cast<std::size_t>(tokens_[accepted.size()]);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (i != kept) logits[i] = -HUGE_VALF;
    }
    return Next::tokens;
  }
  void accept(TokenId token) override { accepted.push_back(token); }

  std::vector<TokenId> accepted;

 private:
  std::vector<TokenId> tokens_;
  Next last_;
};

TEST_CASE("generate writes what the filter leaves, and ends where it leaves nothing", "[generate]") {
  const test::TinyModel tiny;
  const std::vector<TokenId> wanted = {7, 7, 42, 0, 79};
  const auto [last, reason] = GENERATE(std::pair(TokenFilter::Next::end, StopReason::end_token),
                                       std::pair(TokenFilter::Next::none, StopReason::filtered));
  OneAtATime filter(wanted, last);
  Session session(tiny.model, {32, 8});
  Sampler sampler(SamplingOptions(), tiny.model.config.vocabulary);
  const std::vector<TokenId> prompt = {1, 2, 3};
  const auto logits = session.feed(prompt);
  std::vector<TokenId> written;
  const auto take = [&written](TokenId id, auto) {
    written.push_back(id);
    return true;
  };
  CHECK(generate(session, sampler, logits, {20, {}, &filter}, take) == reason);
  CHECK(written == wanted);
  CHECK(filter.accepted == wanted);
}

}  // namespace
}  // namespace carat
