// Whole models on the GPU, and split between it and the CPU at every layer.
#include <cmath>
#include <filesystem>

#include "engine/batch.h"
#include "test/cuda/device.h"
#include "test/support/catch.h"
#include "test/support/golden_logits.h"
#include "test/support/tiny_model.h"

using namespace carat;
namespace fs = std::filesystem;
using test::beside, test::logits_of, test::read_floats, test::read_ids;

namespace {

Model load_split(const ModelFile& file, std::size_t gpu_layers) {
  auto cpu = make_cpu_backend({1, ""});
  if (gpu_layers == 0) return load_model(file, std::move(cpu));
  return load_model(file, std::move(cpu), make_gpu_backend(0), gpu_layers);
}

double worst_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(std::isfinite(a[i]));
    worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  }
  return worst;
}

std::vector<TokenId> some_ids(std::size_t count, std::size_t vocabulary) {
  std::vector<TokenId> ids(count);
  for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<TokenId>((i * 37 + 11) % vocabulary);
  return ids;
}

// A made-up model of a family, on the CPU and with some of its layers on the GPU.
struct Family {
  explicit Family(const std::string& architecture)
      : bytes(test::TinyModelWriter(shape(architecture)).bytes()), file(parse_gguf(bytes, "tiny")) {}
  static test::TinyShape shape(const std::string& architecture) {
    test::TinyShape tiny;
    tiny.architecture = architecture;
    tiny.layers = 3;
    return tiny;
  }
  std::vector<std::byte> bytes;
  ModelFile file;
};

}  // namespace

TEST_CASE("cuda: golden logits of every file, within 0.01, token by token and as a prompt", "[cuda]") {
  CARAT_NEEDS_GPU();
  CARAT_NEEDS_FIXTURES();
  for (const fs::path& path : test::models_of({"micro", "tiny"})) {
    const ModelFile file = open_model_file(path);
    const std::vector<TokenId> all = read_ids(path.parent_path() / "tokens.txt");
    const bool quantised = fs::exists(beside(path, ".exact.f32"));
    const std::vector<float> exact = read_floats(beside(path, quantised ? ".exact.f32" : ".logits.f32"));
    const Model model = load_split(file, read_config(file).layers.size());
    for (const auto& [batch, count] : {std::pair<std::size_t, std::size_t>{1, 5}, {512, 24}}) {
      const std::size_t tokens = std::min(count, all.size());
      const std::vector<TokenId> ids(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(tokens));
      const auto end = exact.begin() + static_cast<std::ptrdiff_t>(exact.size() / all.size() * tokens);
      INFO(path.filename() << " batch " << batch);
      CHECK(worst_difference(logits_of(model, batch, ids), {exact.begin(), end}) < 0.01);
    }
  }
}

TEST_CASE("cuda: a model split at any layer says what it says on the CPU", "[cuda]") {
  CARAT_NEEDS_GPU();
  for (const char* architecture : {"llama", "gemma", "gemma2", "gemma3", "qwen2", "qwen3"}) {
    const Family family(architecture);
    const std::vector<TokenId> ids = some_ids(28, 80);
    const std::vector<float> expected = logits_of(load_split(family.file, 0), 32, ids);
    for (const std::size_t gpu_layers : {1u, 2u, 3u}) {
      INFO(architecture << ", on the GPU " << gpu_layers);
      const Model model = load_split(family.file, gpu_layers);
      CHECK(worst_difference(logits_of(model, 32, ids), expected) < 0.02);
      CHECK(worst_difference(logits_of(model, 3, ids), expected) < 0.005);
    }
  }
}

TEST_CASE("cuda: a session goes on elsewhere, from its copied cache", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Family family("gemma3");
  const std::vector<TokenId> ids = some_ids(30, 80), more = {5};
  const Model model = load_split(family.file, 2), other = load_split(family.file, 3);
  Session session(model, {64, 16});
  session.feed(ids);
  std::vector<std::vector<std::byte>> contents;
  for (const Tensor& part : session.cache_parts(session.furthest())) {
    contents.emplace_back(byte_size(part));
    session.copy_out(contents.back(), part);
  }
  Session resumed(other, {64, 16});
  const std::vector<std::span<const std::byte>> views(contents.begin(), contents.end());
  resumed.resume(session.position(), session.furthest(), views);
  const std::span<const float> here = session.feed(more), there = resumed.feed(more);
  CHECK(worst_difference({here.begin(), here.end()}, {there.begin(), there.end()}) < 0.005);
}

TEST_CASE("cuda: a batch of sequences gives each what it has alone, to the bit", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Family family("gemma2");
  const Model model = load_split(family.file, 3);
  const std::vector<TokenId> prompts[] = {some_ids(23, 80), some_ids(4, 80), some_ids(17, 79)};
  Batch batch(model, {3, 64, 32, {}});
  std::vector<std::vector<float>> together(3);
  for (const auto& prompt : prompts) batch.feed(*batch.enter(), prompt);
  while (batch.step([&](SequenceId sequence, std::span<const float> logits) {
    together[static_cast<std::size_t>(sequence)].assign(logits.begin(), logits.end());
  })) {
  }
  for (std::size_t i = 0; i < 3; ++i) {
    Batch alone(model, {3, 64, 32, {}});
    std::vector<float> logits;
    alone.feed(*alone.enter(), prompts[i]);
    while (alone.step([&](SequenceId, std::span<const float> last) { logits.assign(last.begin(), last.end()); })) {
    }
    INFO(i);
    CHECK(logits == together[i]);
  }
}

TEST_CASE("cuda: a step that is stopped leaves the session as it was", "[cuda]") {
  CARAT_NEEDS_GPU();
  const Family family("llama");
  const Model model = load_split(family.file, 2);
  const std::vector<TokenId> ids = some_ids(12, 80), more = {3, 4, 5};
  Session stopped(model, {64, 16}), straight(model, {64, 16});
  std::stop_source stop;
  stop.request_stop();
  stopped.feed(ids);
  straight.feed(ids);
  CHECK(stopped.feed(some_ids(9, 70), stop.get_token()).empty());
  const std::span<const float> a = stopped.feed(more), b = straight.feed(more);
  CHECK(std::ranges::equal(a, b));
}
