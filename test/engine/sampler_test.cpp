#include "engine/sampler.h"

#include <cmath>
#include <map>

#include "engine/error.h"
#include "test/support/catch.h"

using namespace carat;

namespace {

SamplingOptions plain() {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  return options;
}

// How often each id is picked in `n` tries.
std::map<TokenId, int> histogram(const SamplingOptions& options, const std::vector<float>& logits, int n = 20000) {
  Sampler sampler(options, logits.size());
  std::map<TokenId, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.pick(logits)];
  return counts;
}

std::vector<float> logs(std::vector<float> probabilities) {
  for (float& p : probabilities) p = std::log(p);
  return probabilities;
}

}  // namespace

TEST_CASE("a temperature of zero picks the largest logit, and of equals the first", "[sampler]") {
  SamplingOptions options;
  options.temperature = 0;
  Sampler sampler(options, 5);
  CHECK(sampler.pick(std::vector<float>{1, 3, 2, 3, 0}) == 1);
  CHECK(sampler.pick(std::vector<float>{-HUGE_VALF, NAN, -5, -6, NAN}) == 2);
}

TEST_CASE("without truncation tokens come as often as their probability says", "[sampler]") {
  const auto counts = histogram(plain(), logs({0.5f, 0.3f, 0.2f}));
  CHECK(counts.at(0) == Approx(10000).margin(400));
  CHECK(counts.at(1) == Approx(6000).margin(400));
  CHECK(counts.at(2) == Approx(4000).margin(400));
}

TEST_CASE("temperature sharpens and flattens", "[sampler]") {
  SamplingOptions options = plain();
  options.temperature = 0.5f;  // squares the odds
  CHECK(histogram(options, logs({0.6f, 0.3f}))[0] == Approx(16000).margin(400));
  options.temperature = 2;
  CHECK(histogram(options, logs({0.8f, 0.2f}))[0] == Approx(13333).margin(400));
}

TEST_CASE("top-k keeps the k likeliest", "[sampler]") {
  SamplingOptions options = plain();
  options.top_k = 2;
  const auto counts = histogram(options, logs({0.1f, 0.4f, 0.2f, 0.3f}));
  CHECK(counts.size() == 2);
  CHECK(counts.count(1) == 1);
  CHECK(counts.count(3) == 1);
  options.top_k = 100;
  CHECK(histogram(options, logs({0.1f, 0.4f, 0.2f, 0.3f})).size() == 4);
}

TEST_CASE("top-p keeps the fewest that hold the mass, before temperature", "[sampler]") {
  SamplingOptions options = plain();
  options.top_p = 0.65f;
  options.temperature = 50;  // would flatten everything, were it first
  const auto counts = histogram(options, logs({0.1f, 0.4f, 0.2f, 0.3f}));
  CHECK(counts.size() == 2);
  options.top_p = 0;
  CHECK(histogram(options, logs({0.1f, 0.4f, 0.2f, 0.3f})).size() == 1);
}

TEST_CASE("top-p over a large flat vocabulary keeps its share", "[sampler]") {
  SamplingOptions options = plain();
  options.top_p = 0.5f;
  const auto counts = histogram(options, std::vector<float>(2000, 0.0f), 3000);
  CHECK(counts.rbegin()->first < 1001);  // ties go to the lower ids
}

TEST_CASE("min-p keeps what is near the likeliest", "[sampler]") {
  SamplingOptions options = plain();
  options.min_p = 0.5f;
  const auto counts = histogram(options, logs({0.1f, 0.4f, 0.19f, 0.3f}));
  CHECK(counts.size() == 2);
}

TEST_CASE("penalties fall on recent tokens, and only as long as they are recent", "[sampler]") {
  SamplingOptions options = plain();
  options.temperature = 0;
  options.repeat_last = 2;
  const std::vector<float> logits = {2.0f, 1.9f, -1.0f};

  options.repeat_penalty = 1.5f;
  Sampler repeat(options, 3);
  CHECK(repeat.pick(logits) == 0);
  repeat.note(0);
  CHECK(repeat.pick(logits) == 1);
  repeat.note(2);
  repeat.note(2);
  CHECK(repeat.pick(logits) == 0);
  repeat.note(0);
  repeat.forget();
  CHECK(repeat.pick(logits) == 0);

  options.repeat_penalty = 1;
  options.frequency_penalty = 0.06f;  // once is not enough, twice is
  Sampler frequency(options, 3);
  frequency.note(0);
  CHECK(frequency.pick(logits) == 0);
  frequency.note(0);
  CHECK(frequency.pick(logits) == 1);

  options.frequency_penalty = 0;
  options.presence_penalty = 0.06f;
  Sampler presence(options, 3);
  presence.note(0);
  presence.note(0);
  CHECK(presence.pick(logits) == 0);
}

TEST_CASE("a logit bias promotes and forbids", "[sampler]") {
  SamplingOptions options = plain();
  options.temperature = 0;
  options.logit_bias = {{2, 5.0f}};
  CHECK(Sampler(options, 3).pick(std::vector<float>{2, 1, 0}) == 2);
  options.logit_bias = {{0, -HUGE_VALF}};
  CHECK(Sampler(options, 3).pick(std::vector<float>{2, 1, 0}) == 1);
}

TEST_CASE("a bias of infinity is a certainty, with and without top-p", "[sampler]") {
  for (const float top_p : {1.0f, 0.9f}) {
    SamplingOptions options = plain();
    options.top_p = top_p;
    options.logit_bias = {{2, HUGE_VALF}};
    Sampler sampler(options, 5);
    for (int i = 0; i < 100; ++i) CHECK(sampler.pick(std::vector<float>{9, 3, -4, 0, 1}) == 2);
  }
}

TEST_CASE("biases that exclude all that may follow are named as the reason", "[sampler]") {
  SamplingOptions options = plain();
  options.logit_bias = {{1, -HUGE_VALF}};
  Sampler sampler(options, 2);
  CHECK_THROWS_WITH(sampler.pick(std::vector<float>{-HUGE_VALF, 1}), Catch::Contains("no token is left"));
}

TEST_CASE("a token that came often is penalised once at each pick", "[sampler]") {
  SamplingOptions options = plain();
  options.temperature = 0;
  options.presence_penalty = 1;
  Sampler sampler(options, 3);
  for (const TokenId id : {0, 1, 0, 0}) sampler.note(id);
  const std::vector<float> logits = {2.5f, 2.25f, 1.375f};  // 1.5, 1.25 and 1.375 with the penalty
  for (int i = 0; i < 3; ++i) CHECK(sampler.pick(logits) == 0);
}

TEST_CASE("a seed gives the same tokens again, another seed others", "[sampler]") {
  const std::vector<float> logits(100, 0.0f);
  const auto sequence = [&](std::uint64_t seed) {
    SamplingOptions options = plain();
    options.seed = seed;
    Sampler sampler(options, logits.size());
    std::vector<TokenId> out;
    for (int i = 0; i < 50; ++i) out.push_back(sampler.pick(logits));
    return out;
  };
  CHECK(sequence(1) == sequence(1));
  CHECK(sequence(1) != sequence(2));
}

TEST_CASE("logits that are no numbers are an error, not a token", "[sampler][robust]") {
  Sampler sampler(plain(), 2);
  CHECK_THROWS_AS(sampler.pick(std::vector<float>{NAN, NAN}), Error);
  CHECK_THROWS_AS(sampler.pick(std::vector<float>{-HUGE_VALF, NAN}), Error);
}
