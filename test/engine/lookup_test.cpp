#include "engine/lookup.h"

#include <catch2/catch.hpp>
#include <random>

#include "engine/generate.h"
#include "test/support/tiny_model.h"

using namespace carat;
using carat::test::TinyModel;
using carat::test::TinyShape;

namespace {

using Ids = std::vector<TokenId>;

Ids drafted(Lookup& lookup, std::size_t limit = 100) {
  const auto draft = lookup.draft(limit);
  return {draft.begin(), draft.end()};
}

Lookup reader_of(const Ids& text, std::size_t max_draft = 4) {
  Lookup lookup(1000, max_draft);
  for (const TokenId id : text) lookup.note(id);
  return lookup;
}

TinyShape shape_of(const std::string& family) {
  TinyShape shape;
  shape.architecture = family;
  shape.dtype = DType::q8_0;
  if (family == "gemma3") shape.layers = 7;
  return shape;
}

struct Written {
  Ids ids;
  StopReason reason;
  std::size_t position;
  std::vector<float> next;  // logits after one token more
  bool operator==(const Written&) const = default;
};

Written write(const Model& model, const SamplingOptions& sampling, const Ids& prompt, std::size_t tokens, bool looks_up,
              std::size_t batch = 32, std::size_t context = 256, std::size_t cancel_after = 1000) {
  Session session(model, {context, batch});
  Sampler sampler(sampling, model.config.vocabulary);
  Lookup lookup(context, 15);
  for (const TokenId id : prompt) {
    sampler.note(id);
    lookup.note(id);
  }
  Written written;
  const auto keep = [&](TokenId id, auto) {
    written.ids.push_back(id);
    return written.ids.size() < cancel_after;
  };
  written.reason =
      generate(session, sampler, session.feed(prompt), {tokens, {}}, keep, {}, looks_up ? &lookup : nullptr);
  written.position = session.position();
  if (session.room() > 0) {
    const auto logits = session.feed(std::span(prompt).first(1));
    written.next.assign(logits.begin(), logits.end());
  }
  return written;
}

// A text that goes round in circles, as greedy tiny models do.
Ids circles(std::size_t n) {
  Ids ids;
  for (std::size_t i = 0; i < n; ++i) ids.push_back(static_cast<TokenId>(i % 11 + 3));
  return ids;
}

}  // namespace

TEST_CASE("a draft is what followed the same three tokens", "[lookup]") {
  Lookup lookup = reader_of({1, 2, 3, 4, 5, 6, 9, 1, 2, 3});
  CHECK(drafted(lookup) == Ids{4, 5, 6, 9});
  CHECK(drafted(lookup, 2) == Ids{4, 5});
  Lookup none = reader_of({1, 2, 3, 4, 5, 6, 9, 7, 2, 3});
  CHECK(drafted(none).empty());
  Lookup empty = reader_of({});
  CHECK(drafted(empty).empty());
}

TEST_CASE("of several places the one with the longest agreement is taken, of equals the latest", "[lookup]") {
  Lookup longest = reader_of({8, 1, 2, 3, 4, 4, 7, 1, 2, 3, 5, 5, 8, 1, 2, 3});
  CHECK(drafted(longest, 2) == Ids{4, 4});
  Lookup latest = reader_of({8, 1, 2, 3, 4, 4, 8, 1, 2, 3, 5, 5, 8, 1, 2, 3});
  CHECK(drafted(latest, 2) == Ids{5, 5});
}

TEST_CASE("a draft that comes to the end of the text goes on with itself", "[lookup]") {
  Lookup lookup = reader_of({1, 2, 1, 2, 1, 2, 1});
  CHECK(drafted(lookup) == Ids{2, 1, 2, 1});
}

TEST_CASE("what was rewound is neither matched nor drafted", "[lookup]") {
  Lookup lookup = reader_of({1, 2, 3, 4, 5, 6, 7, 1, 2, 3});
  lookup.rewind(7);
  for (const TokenId id : {5, 6, 4, 1, 2, 3}) lookup.note(id);
  CHECK(drafted(lookup) == Ids{4, 5, 6, 7});
  lookup.rewind(3);
  CHECK(drafted(lookup).empty());
}

TEST_CASE("drafts grow while they come true and cease when they do not", "[lookup]") {
  Lookup lookup(10000, 15);
  for (const TokenId id : circles(100)) lookup.note(id);
  std::size_t longest = 0;
  for (int i = 0; i < 10; ++i) {
    const std::size_t count = drafted(lookup).size();
    longest = std::max(longest, count);
    lookup.came_true(count);
  }
  CHECK(longest == 15);

  std::size_t wasted = 0;
  for (std::size_t i = 0; i < 5000; ++i) {
    wasted += drafted(lookup).size();
    lookup.came_true(0);
  }
  CHECK(wasted < 500);  // of 5000 steps that each might have drafted
  CHECK(wasted > 100);  // and yet it never gives up
}

TEST_CASE("a text longer than there is room for is cut short, not written beyond", "[lookup]") {
  Lookup lookup(8, 4);
  for (const TokenId id : circles(50)) lookup.note(id);
  drafted(lookup);
  SUCCEED();
}

TEST_CASE("with a lookup the same tokens are written, from the same bytes, on every instruction set", "[lookup]") {
  const std::string family = GENERATE(as<std::string>(), "gemma2", "gemma3", "llama");
  const float temperature = GENERATE(0.0f, 0.7f);
  for (const std::string_view isa : usable_isas()) {
    if (isa == "reference" && family != "gemma2") continue;  // slow
    const TinyModel tiny(shape_of(family), {2, std::string(isa)});
    SamplingOptions sampling;
    sampling.temperature = temperature;
    sampling.seed = 7;
    sampling.repeat_penalty = 1.02f;
    for (const std::size_t prompt : {1, 60}) {
      INFO(family << " " << isa << " temperature " << temperature << " prompt " << prompt);
      CHECK(write(tiny.model, sampling, circles(prompt), 60, true) ==
            write(tiny.model, sampling, circles(prompt), 60, false));
    }
  }
}

TEST_CASE("with a lookup generation ends where it would, and leaves the session as it would be", "[lookup]") {
  const TinyModel tiny(shape_of("gemma3"));
  SamplingOptions greedy;
  greedy.temperature = 0;
  const Ids prompt = circles(60);
  for (const std::size_t tokens : {0, 1, 2, 3, 17, 18, 19, 20, 40})
    CHECK(write(tiny.model, greedy, prompt, tokens, true) == write(tiny.model, greedy, prompt, tokens, false));
  for (const std::size_t context : {61, 62, 70, 77})
    CHECK(write(tiny.model, greedy, prompt, 40, true, 32, context) ==
          write(tiny.model, greedy, prompt, 40, false, 32, context));
  for (const std::size_t batch : {1, 2, 3, 9})  // rings have room for a batch more than the window
    CHECK(write(tiny.model, greedy, prompt, 40, true, batch) == write(tiny.model, greedy, prompt, 40, false, batch));
  for (const std::size_t cancel : {1, 5, 16, 17, 30})
    CHECK(write(tiny.model, greedy, prompt, 40, true, 32, 256, cancel) ==
          write(tiny.model, greedy, prompt, 40, false, 32, 256, cancel));
}

TEST_CASE("a text that repeats itself is read several tokens at a step", "[lookup]") {
  const TinyModel tiny(shape_of("llama"));
  Session session(tiny.model, {512, 32});
  Lookup lookup(512, 15);
  const Ids text = circles(300);
  for (std::size_t i = 0; i < 50; ++i) lookup.note(text[i]);
  session.feed(std::span(text).first(50));
  std::size_t steps = 0, position = session.position();
  {
    LookAhead ahead(session, &lookup);
    for (std::size_t i = 50; i < text.size(); ++i) {  // as if the model wrote just that
      ahead.feed(text[i], text.size() - i - 1, {});
      if (session.position() != position) ++steps;
      position = session.position();
    }
  }
  CHECK(session.position() == text.size());
  CHECK(steps < 30);  // of 250 tokens
}
