#include "engine/draft_model.h"

#include <algorithm>

#include "test/support/catch.h"
#include "test/support/written.h"

using namespace carat;
using test::circles, test::draft_shape, test::TinyModel, test::Written;

namespace {

using Ids = std::vector<TokenId>;

// Without a second model, nothing is drafted.
Written write(const Model& model, const Model* second, const SamplingOptions& sampling, const Ids& prompt,
              std::size_t tokens, std::size_t context = 256) {
  const SessionOptions options{context, 32};
  if (second == nullptr) return test::write_with(nullptr, model, options, sampling, prompt, tokens);
  DraftModel draft(*second, options, 15);
  CHECK(draft.begin(prompt, {}));
  draft.took(1, 1);  // each step of the model that checks is dear, so that drafts are long
  return test::write_with(&draft, model, options, sampling, prompt, tokens);
}

TEST_CASE("with a second model the same tokens are written, whether it guesses right or wrong", "[draft]") {
  const std::string family = GENERATE(as<std::string>(), "gemma2", "gemma3", "llama");
  const float temperature = GENERATE(0.0f, 0.7f);
  const TinyModel first(draft_shape(family, 1)), other(draft_shape("llama", 2));
  SamplingOptions sampling;
  sampling.temperature = temperature;
  sampling.seed = 7;
  sampling.repeat_penalty = 1.02f;
  for (const std::size_t prompt : {1, 60}) {
    INFO(family << " temperature " << temperature << " prompt " << prompt);
    const Written alone = write(first.model, nullptr, sampling, circles(prompt), 60);
    CHECK(write(first.model, &first.model, sampling, circles(prompt), 60) == alone);
    CHECK(write(first.model, &other.model, sampling, circles(prompt), 60) == alone);
  }
}

TEST_CASE("with a second model generation ends where it would", "[draft]") {
  const TinyModel model(draft_shape("gemma3", 1));
  SamplingOptions greedy;
  greedy.temperature = 0;
  for (const std::size_t tokens : {0, 1, 2, 16, 17, 18})
    CHECK(write(model.model, &model.model, greedy, circles(60), tokens) ==
          write(model.model, nullptr, greedy, circles(60), tokens));
  for (const std::size_t context : {61, 62, 75})
    CHECK(write(model.model, &model.model, greedy, circles(60), 40, context) ==
          write(model.model, nullptr, greedy, circles(60), 40, context));
}

TEST_CASE("a model that guesses all that is written has many tokens checked in a step", "[draft]") {
  const TinyModel model(draft_shape("llama", 1));
  Session session(model.model, {256, 32});
  DraftModel draft(model.model, {256, 32}, 15);
  SamplingOptions greedy;
  greedy.temperature = 0;
  Sampler sampler(greedy, model.model.config.vocabulary);
  Ids written = circles(20);
  CHECK(draft.begin(written, {}));
  draft.took(1, 1);
  std::span<const float> logits = session.feed(written);
  std::size_t steps = 0, position = session.position();
  {
    LookAhead ahead(session, &draft);
    for (int i = 0; i < 120; ++i) {
      written.push_back(sampler.pick(logits));
      logits = ahead.feed(written.back(), 200, {});
      if (session.position() != position) ++steps;
      position = session.position();
    }
  }
  CHECK(session.position() == written.size());
  CHECK(steps < 40);  // of 120 tokens
}

TEST_CASE("a text that goes on, or begins anew, is read from where it differs", "[draft]") {
  const TinyModel model(draft_shape("llama", 1));
  DraftModel draft(model.model, {64, 16}, 4);
  const auto drafted = [](DraftModel& drafter, const Ids& text) {
    CHECK(drafter.begin(text, {}));
    drafter.took(1, 1);
    const auto ids = drafter.draft(4);
    return Ids(ids.begin(), ids.end());
  };
  drafted(draft, circles(40));
  for (const std::size_t length : {41, 50, 30, 1, 62}) {
    Ids text = circles(length);
    text.back() = 7;
    DraftModel fresh(model.model, {64, 16}, 4);
    Ids guess = drafted(draft, text),
        expected = drafted(fresh, text);  // how long they are depends on what was measured
    REQUIRE(!expected.empty());
    guess.resize(std::min(guess.size(), expected.size()));
    expected.resize(guess.size());
    CHECK(guess == expected);
  }
}

}  // namespace
