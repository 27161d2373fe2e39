#include "app/bench_measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/cost.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kWarmReply = 8;    // tokens: enough to touch every weight and to wake every thread
constexpr std::size_t kProbeRounds = 3;  // before a test, and after it; the best counts

double milliseconds(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

class Test {
 public:
  Test(const Model& model, const BenchRun& run, const std::stop_token& stop)
      : test_(run.test), session_(model, run.session), stop_(stop) {
    std::mt19937 random(1);
    const auto random_ids = [&](std::size_t n) {
      std::vector<TokenId> ids(n);
      for (TokenId& id : ids) id = static_cast<TokenId>(random() % model.config.vocabulary);
      return ids;
    };
    before_ = random_ids(test_.depth);
    ids_ = random_ids(test_.tokens());
  }

  // Untimed; false when stopped.
  bool fill_context() {
    if (session_.rewind(test_.depth) == test_.depth) return true;
    session_.rewind(0);
    return feed(before_);
  }

  struct Times {
    Clock::duration whole, first;
  };

  // With a reply of `reply` tokens; nothing when stopped.
  std::optional<Times> run(std::size_t reply) {
    const auto start = Clock::now();
    const std::span<const TokenId> ids(ids_);
    Times times{};
    if (test_.prompt > 0) {
      if (!feed(ids.first(test_.prompt))) return std::nullopt;
      times.first = Clock::now() - start;
    }
    for (std::size_t i = 0; i < reply; ++i) {
      if (!feed(ids.subspan(test_.prompt + i, 1))) return std::nullopt;
      if (test_.prompt == 0 && i == 0) times.first = Clock::now() - start;
    }
    times.whole = Clock::now() - start;
    return times;
  }

 private:
  bool feed(std::span<const TokenId> ids) { return ids.empty() || !session_.feed(ids, stop_).empty(); }

  BenchTest test_;
  Session session_;
  std::stop_token stop_;
  std::vector<TokenId> before_, ids_;
};

void repeat(Test& test, const BenchRun& run, BenchTimes& times) {
  const auto start = Clock::now();
  times.stopped = !test.fill_context();
  if (run.warm_up && !times.stopped) {
    times.stopped = !test.run(std::min(run.test.reply, kWarmReply));
    times.warm_up_ms = milliseconds(Clock::now() - start);
  }
  while (!times.stopped && times.samples_ns.size() < run.repetitions) {
    const bool ready = test.fill_context();
    const auto found = ready ? test.run(run.test.reply) : std::nullopt;
    times.stopped = !found;
    if (!found) return;
    times.samples_ns.push_back(static_cast<std::uint64_t>(std::chrono::nanoseconds(found->whole).count()));
    times.first_token_ms.push_back(milliseconds(found->first));
  }
}

double reply_bytes(const Model& model, const BenchRun& run) {
  double bytes = 0;
  for (std::size_t i = 0; i < run.test.reply; ++i)
    bytes += static_cast<double>(decode_bytes(model, run.test.depth + i, run.session.cache));
  return bytes;
}

}  // namespace

std::string BenchTest::name() const {
  std::string text = prompt > 0 ? "pp" + std::to_string(prompt) : "";
  if (reply > 0) text += (text.empty() ? "tg" : "+tg") + std::to_string(reply);
  return depth > 0 ? text + " @ d" + std::to_string(depth) : text;
}

BenchTimes measure(const Model& model, Probe* probe, std::span<const std::span<const std::byte>> weights, BenchRun run,
                   const std::stop_token& stop) {
  run.session.context = run.test.depth + run.test.tokens();
  Test test(model, run, stop);
  const bool reads = run.test.prompt == 0, multiplies = run.test.reply == 0;
  double ceiling = 0;
  const auto look_up = [&] {
    if (reads && run.gpu_ceiling) ceiling = *run.gpu_ceiling;
    if (probe == nullptr || reads == multiplies) return;
    for (std::size_t i = 0; i < kProbeRounds && !stop.stop_requested(); ++i)
      ceiling = std::max(ceiling, reads ? probe->read_rate(weights) : probe->product_rate());
  };
  BenchTimes times;
  look_up();
  repeat(test, run, times);
  look_up();
  if (times.samples_ns.empty()) return times;
  const double seconds = spread({times.samples_ns.begin(), times.samples_ns.end()}).mean / 1e9;
  const std::optional<double> best = ceiling > 0 ? std::optional(ceiling) : std::nullopt;
  if (reads) times.read = {reply_bytes(model, run) / seconds, best};
  if (multiplies) times.products = {prefill_operations(model, run.test.depth, run.test.prompt) / seconds, best};
  return times;
}

Spread spread(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() < 2 ? 0 : std::sqrt(squares / (n - 1))};
}

}  // namespace carat
