// What looking up gains and costs at full size: measured on request (test_engine "[.speed]"), not checked each time.
#include <chrono>
#include <limits>

#include "engine/generate.h"
#include "engine/synthetic.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"
#include "test/support/word_tokens.h"

using namespace carat;

namespace {

using Ids = std::vector<TokenId>;

constexpr std::size_t kTokens = 96, kRounds = 3;

// Leaves one token each time: made-up weights do not write, so they are dictated to.
class Dictation : public TokenFilter {
 public:
  explicit Dictation(std::span<const TokenId> ids) : ids_(ids) {}
  Next mask(std::span<float> logits) override {
    const auto id = static_cast<std::size_t>(ids_[at_]);
    const float kept = logits[id];
    std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
    logits[id] = kept;
    return Next::tokens;
  }
  void accept(TokenId) override { ++at_; }

 private:
  std::span<const TokenId> ids_;
  std::size_t at_ = 0;
};

struct Writer {
  Model& model;
  Session session;
  Ids prompt, reply;

  // Tokens per second.
  double rate(std::optional<Lookup> lookup) {
    session.rewind(prompt.size() - 1);
    const auto logits = session.feed(std::span(prompt).subspan(session.position()));
    if (lookup) std::ranges::for_each(prompt, [&](TokenId id) { lookup->note(id); });
    SamplingOptions greedy;
    greedy.temperature = 0;
    Sampler sampler(greedy, model.config.vocabulary);
    Dictation dictation(reply);
    const auto start = std::chrono::steady_clock::now();
    generate(
        session, sampler, logits, {reply.size(), {}, &dictation}, [](TokenId, auto) { return true; }, {},
        lookup ? &*lookup : nullptr);
    return static_cast<double>(reply.size()) /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// By how much a reply is faster with a lookup: one that copies its prompt, or one that goes on with a novel.
double gain_of(bool copies) {
  const Preset& preset = *find_preset("gemma3-1b");
  auto tensors = preset_tensors(preset);
  for (FileTensor& tensor : tensors)
    if (tensor.n_dims == 2) tensor.dtype = tensor.name == "token_embd.weight" ? DType::q8_0 : DType::q4_0;
  const SyntheticModel made = make_synthetic(preset, tensors);
  Model model = load_model(made.file, make_cpu_backend({2, ""}));
  const std::string novel = test::slurp_text(test::fixtures() / "tokenizer_sentencepiece_tests" / "botchan.txt");
  const Ids text = test::word_tokens(novel.substr(2000, 8000), 4, model.config.vocabulary);

  Writer writer{model, Session(model, {1024, 512}), {}, {}};
  writer.prompt.assign(text.begin(), text.begin() + 700);  // 400 words
  const auto from = text.begin() + (copies ? 100 : 700);
  writer.reply.assign(from, from + kTokens * (copies ? 2 : 1));
  std::vector<double> with, without, gain;
  for (std::size_t i = 0; i < kRounds; ++i) {
    with.push_back(writer.rate(Lookup(1024, kFewRows - 1)));
    without.push_back(writer.rate(std::nullopt));
    gain.push_back(with.back() / without.back());
  }
  std::ranges::sort(gain);
  WARN(median(with) << " tokens/s with, " << median(without) << " without: " << gain.front() << " to " << gain.back()
                    << " times, median " << median(gain));
  return median(gain);
}

}  // namespace

TEST_CASE("looking up makes copying twice as fast", "[.speed]") {
  CARAT_NEEDS_FIXTURES();
  CHECK(gain_of(true) >= 2);
}

TEST_CASE("looking up costs nothing where a text does not repeat itself", "[.speed]") {
  CARAT_NEEDS_FIXTURES();
  CHECK(gain_of(false) >= 0.97);
}
