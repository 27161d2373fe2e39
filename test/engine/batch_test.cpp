#include "engine/batch.h"

#include <map>

#include "engine/error.h"
#include "engine/generate.h"
#include "test/support/catch.h"
#include "test/support/tiny_model.h"

using namespace carat;
using carat::test::TinyModel;
using carat::test::TinyShape;

namespace {

TinyShape shape_of(const std::string& family, DType dtype) {
  TinyShape shape;
  shape.architecture = family;
  shape.dtype = dtype;
  if (family == "gemma3") shape.layers = 7;  // the sixth sees all
  return shape;
}

std::vector<TokenId> some_ids(std::size_t n, std::size_t salt) {
  std::vector<TokenId> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<TokenId>((i * 31 + salt * 17 + 7) % 80);
  return ids;
}

TokenId likeliest(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Request {
  std::vector<TokenId> prompt;
  std::size_t tokens;
};

// All that a request got to see: the bytes of its logits, one row per token.
using Seen = std::vector<float>;

// Serves the requests in order, as many at once as the batch takes, each greedily.
std::vector<Seen> serve(const Model& model, const BatchOptions& options, const std::vector<Request>& requests) {
  Batch batch(model, options);
  std::vector<Seen> seen(requests.size());
  std::map<SequenceId, std::size_t> served;
  std::vector<std::size_t> left;
  for (const Request& request : requests) left.push_back(request.tokens);
  std::size_t next = 0;
  do {
    while (next < requests.size()) {
      const auto sequence = batch.enter();
      if (!sequence) break;
      batch.feed(*sequence, requests[next].prompt);
      served[*sequence] = next++;
    }
  } while (batch.step([&](SequenceId sequence, std::span<const float> logits) {
    const std::size_t i = served.at(sequence);
    seen[i].insert(seen[i].end(), logits.begin(), logits.end());
    if (--left[i] == 0) return batch.leave(sequence);
    const TokenId token = likeliest(logits);
    batch.feed(sequence, {&token, 1});
  }));
  for (const std::size_t n : left) CHECK(n == 0);
  return seen;
}

// Prompts of one token, of a few rows, of many, of more than one step.
std::vector<Request> requests() {
  std::vector<Request> out;
  for (const std::size_t length : {1, 5, 40, 16, 17, 33, 90, 2, 64, 30, 12})
    out.push_back({some_ids(length, out.size()), 6 + out.size() % 5});
  return out;
}

}  // namespace

TEST_CASE("what comes of a sequence is the same bytes in any company, for any number of threads", "[batch]") {
  const std::string family = GENERATE(as<std::string>(), "gemma3", "llama", "qwen2");
  const DType dtype = GENERATE(DType::f16, DType::q4_0, DType::q8_0);
  for (const std::string_view isa : usable_isas()) {
    if (isa == "reference" && dtype != DType::q4_0) continue;  // slow
    const TinyModel tiny(shape_of(family, dtype), {1, std::string(isa)});
    const TinyModel on_two(shape_of(family, dtype), {2, std::string(isa)});
    const auto alone = serve(tiny.model, {1, 128, 32}, requests());
    INFO(family << " " << info(dtype).name << " " << isa);
    CHECK(serve(tiny.model, {3, 128, 32}, requests()) == alone);
    CHECK(serve(on_two.model, {8, 128, 32}, requests()) == alone);
    CHECK(serve(on_two.model, {20, 128, 32}, requests()) == alone);  // more rows than are few at once
  }
}

TEST_CASE("a sequence of a batch gets the bytes that a session gives", "[batch]") {
  const TinyModel tiny(shape_of("gemma3", DType::q4_0));
  const auto seen = serve(tiny.model, {4, 128, 32}, requests());
  for (std::size_t i = 0; i < seen.size(); ++i) {
    Session session(tiny.model, {128, 32});
    Seen expected;
    auto logits = session.feed(requests()[i].prompt);
    for (std::size_t n = 0; n < requests()[i].tokens; ++n) {
      expected.insert(expected.end(), logits.begin(), logits.end());
      const TokenId token = likeliest(logits);
      logits = session.feed({&token, 1});
    }
    CHECK(seen[i] == expected);
  }
}

TEST_CASE("a place that was left is as new, and there are no more places than were asked for", "[batch]") {
  const TinyModel tiny(shape_of("gemma2", DType::f16));
  Batch batch(tiny.model, {2, 64, 16});
  const auto first = batch.enter(), second = batch.enter();
  REQUIRE((first && second && *first != *second));
  CHECK_FALSE(batch.enter());
  batch.feed(*first, some_ids(50, 1));
  while (batch.step([](SequenceId, std::span<const float>) {})) {
  }
  CHECK(batch.position(*first) == 50);
  CHECK(batch.room(*first) == 14);
  CHECK(batch.room(*second) == 64);
  batch.feed(*second, some_ids(20, 2));
  batch.leave(*second);  // with ids unread
  CHECK_FALSE(batch.step([](SequenceId, std::span<const float>) { FAIL("nobody asked"); }));
  const auto third = batch.enter();
  CHECK(third == second);
  CHECK(batch.room(*third) == 64);
}

TEST_CASE("a step that was asked to stop has read nothing and can be repeated", "[batch]") {
  const TinyModel tiny(shape_of("gemma3", DType::f16));
  const auto run = [&](bool interrupted) {
    Batch batch(tiny.model, {2, 64, 16});
    const SequenceId sequence = *batch.enter();
    batch.feed(sequence, some_ids(30, 3));
    std::stop_source stopped;
    stopped.request_stop();
    Seen seen;
    const auto keep = [&](SequenceId, std::span<const float> logits) { seen.assign(logits.begin(), logits.end()); };
    if (interrupted) CHECK_FALSE(batch.step(keep, stopped.get_token()));
    CHECK(batch.position(sequence) == 0);
    while (batch.step(keep)) {
    }
    return seen;
  };
  CHECK(run(true) == run(false));
}
