#include "engine/lookup.h"

#include <random>

#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/word_tokens.h"
#include "test/support/written.h"

using namespace carat;
using test::circles, test::draft_shape, test::TinyModel, test::Written;

namespace {

using Ids = std::vector<TokenId>;

Ids drafted(Lookup& lookup, std::size_t limit = 100) {
  const auto draft = lookup.draft(limit);
  return {draft.begin(), draft.end()};
}

// Where further tokens of a step are as good as free, so that drafts are long.
Lookup reader_of(const Ids& text, std::size_t max_draft = 4) {
  Lookup lookup(1000, max_draft);
  lookup.took(1, 1);
  lookup.took(kFewRows, 1.05);
  for (const TokenId id : text) lookup.note(id);
  return lookup;
}

Written write(const Model& model, const SamplingOptions& sampling, const Ids& prompt, std::size_t tokens, bool looks_up,
              std::size_t batch = 32, std::size_t context = 256, std::size_t cancel_after = 1000) {
  Lookup lookup(context, 15);
  for (const TokenId id : prompt) lookup.note(id);
  return test::write_with(looks_up ? &lookup : nullptr, model, {context, batch}, sampling, prompt, tokens,
                          cancel_after);
}

// How much less time writing text[from, end) takes than step by step, where a step of n tokens takes
// 1 + each * (n - 1).
double gain_of(const Ids& text, std::size_t from, std::size_t end, double each) {
  Lookup lookup(text.size(), kFewRows - 1);
  for (std::size_t i = 0; i < from; ++i) lookup.note(text[i]);
  double time = 0;
  for (std::size_t i = from; i < end;) {
    lookup.note(text[i++]);
    const auto draft = lookup.draft(end - i);
    const double step = 1 + each * static_cast<double>(draft.size());
    lookup.took(draft.size() + 1, step);
    time += step;
    const std::size_t right =
        static_cast<std::size_t>(std::ranges::mismatch(draft, std::span(text).subspan(i)).in1 - draft.begin());
    for (std::size_t j = 0; j < right; ++j) lookup.note(text[i++]);
    lookup.came_true(right);
  }
  return static_cast<double>(end - from) / time;
}

// A text that goes round in circles, as greedy tiny models do.
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
  CHECK(wasted < 400);  // of 5000 steps that each might have drafted
  CHECK(wasted > 50);   // and yet it never gives up
}

TEST_CASE("the dearer a step of many tokens, the shorter the drafts", "[lookup]") {
  const auto length_at = [](double seconds_of_sixteen) {
    Lookup lookup(1000, 15);
    lookup.took(1, 1);
    lookup.took(16, seconds_of_sixteen);
    for (const TokenId id : circles(100)) lookup.note(id);
    std::size_t length = 0;
    for (int i = 0; i < 10; ++i) lookup.came_true(length = drafted(lookup).size());
    return length;
  };
  CHECK(length_at(1.1) == 15);
  CHECK(length_at(6) == 15);  // all come true
  CHECK(length_at(17) == 0);  // as many steps of one are as quick
}

TEST_CASE("what a step of some tokens costs is guessed from the nearest measured", "[lookup]") {
  StepCosts costs;
  costs.took(1, 2);
  costs.took(5, 4);
  CHECK(costs.extra(3) == Approx(0.5));
  CHECK(costs.extra(5) == Approx(1));
  CHECK(costs.extra(9) == Approx(2));
  costs.took(9, 4);
  CHECK(costs.extra(16) == Approx(15.0 / 8));
  for (int i = 0; i < 20; ++i) costs.took(5, 3);
  CHECK(costs.extra(5) == Approx(0.5).epsilon(1e-3));
  costs.took(5, 300);  // once, because something else ran
  CHECK(costs.extra(5) < 20);
  for (int i = 0; i < 20; ++i) costs.took(5, 3);
  CHECK(costs.extra(5) == Approx(0.5).epsilon(1e-3));
}

TEST_CASE("looking up makes copying faster and costs a novel next to nothing", "[lookup]") {
  CARAT_NEEDS_FIXTURES();
  const std::string novel = test::slurp_text(test::fixtures() / "tokenizer_sentencepiece_tests" / "botchan.txt");
  const double each = GENERATE(0.05, 0.1, 0.2, 0.35);  // of a step, for each further token
  const std::size_t longest = GENERATE(3, 4, 12);      // letters of a token
  INFO("each " << each << " longest " << longest);
  constexpr std::size_t kPrompt = 700, kReply = 400;
  for (std::size_t at = 0; at + 12000 < novel.size(); at += 36000) {
    Ids text = test::word_tokens(novel.substr(at, 12000), longest, 262144);
    CHECK(gain_of(text, kPrompt, kPrompt + kReply, each) > 0.98);
    std::copy_n(text.begin() + 100, kReply, text.begin() + kPrompt);
    CHECK(gain_of(text, kPrompt, kPrompt + kReply, each) > (each < 0.3 ? 3 : 2));
  }
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
    const TinyModel tiny(draft_shape(family), {2, std::string(isa)});
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
  const TinyModel tiny(draft_shape("gemma3"));
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
  const TinyModel tiny(draft_shape("llama"));
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
