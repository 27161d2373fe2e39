// What decoding allocates: every operator new of this program is counted.
#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/batch.h"
#include "engine/generate.h"
#include "test/support/catch.h"
#include "test/support/tiny_model.h"

namespace {
std::atomic<std::size_t> allocations = 0;
}

// Not inlined, as g++ would report that what one of them took the other does not give back.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* at = operator new(size, std::nothrow)) return at;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* at) noexcept { std::free(at); }
[[gnu::noinline]] void operator delete(void* at, std::size_t) noexcept { std::free(at); }

using namespace carat;
using carat::test::TinyModel;

namespace {

TinyModel model_for(const std::string& isa) {
  carat::test::TinyShape shape;
  shape.architecture = "gemma2";
  shape.dtype = DType::q4_0;
  return TinyModel(shape, {1, isa});
}

}  // namespace

TEST_CASE("a decode step allocates nothing, from the first on and however long the text", "[allocation]") {
  const bool looks_up = GENERATE(false, true);
  for (const std::string_view isa : usable_isas()) {
    if (isa == "reference") continue;  // it takes rows apart in vectors
    const TinyModel tiny = model_for(std::string(isa));
    SamplingOptions sampling;
    sampling.repeat_penalty = 1.1f;
    Session session(tiny.model, {700, 64});
    Sampler sampler(sampling, tiny.model.config.vocabulary);
    Lookup lookup(700, 15);
    const std::vector<TokenId> prompt(40, 3);
    const auto logits = session.feed(prompt);
    const std::size_t before = allocations;
    generate(
        session, sampler, logits, {600, {}}, [](TokenId, auto) { return true; }, {}, looks_up ? &lookup : nullptr);
    const std::size_t after = allocations;  // before Catch allocates
    INFO(isa);
    CHECK(after == before);
  }
}

TEST_CASE("a step of a batch that decodes allocates nothing", "[allocation]") {
  const TinyModel tiny = model_for("");
  Batch batch(tiny.model, {5, 600, 64});
  const std::vector<TokenId> prompt(40, 3);
  for (std::size_t i = 0; i < 5; ++i) batch.feed(*batch.enter(), prompt);
  std::size_t before = 0, steps = 0;
  const Batch::OnLogits go_on = [&](SequenceId sequence, std::span<const float>) {
    if (batch.room(sequence) == 0) return;
    const TokenId token = static_cast<TokenId>(batch.position(sequence) % 80);
    batch.feed(sequence, {&token, 1});
  };
  while (batch.step(go_on))
    if (++steps == 6) before = allocations;  // all prompts are read
  const std::size_t after = allocations;
  CHECK(steps > 500);
  CHECK(after == before);
}
