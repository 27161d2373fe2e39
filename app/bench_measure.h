// One test of bench: a prompt, a reply or both, some times over.
#pragma once
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/model.h"
#include "engine/session.h"
#include "kernels/probe.h"

namespace carat {

struct BenchTest {
  std::size_t prompt = 0, reply = 0, depth = 0;  // tokens; the depth is what the context holds before

  std::string name() const;  // "pp512", "tg128", "pp512+tg128", each perhaps " @ d1024"
  std::size_t tokens() const { return prompt + reply; }
};

// How fast something went, and how fast it could have gone at most.
struct BenchRate {
  double achieved = 0;            // bytes or operations per second
  std::optional<double> ceiling;  // none: not measured
};

struct BenchTimes {
  std::vector<std::uint64_t> samples_ns;  // of each repetition that was finished
  std::vector<double> first_token_ms;     // likewise: until the logits of the first token to be written are there
  std::optional<double> warm_up_ms;
  std::optional<BenchRate> read;      // of a reply: bytes
  std::optional<BenchRate> products;  // of a prompt: operations
  bool stopped = false;               // by the stop token
};

struct BenchRun {
  BenchTest test;
  SessionOptions session;  // the context is the test's
  std::size_t repetitions = 5;
  bool warm_up = true;
  std::optional<double> gpu_ceiling = {};  // bytes per second of the GPU that the model is on
};

// `probe` may be null: no ceilings. `weights`: where they lie.
BenchTimes measure(const Model& model, Probe* probe, std::span<const std::span<const std::byte>> weights, BenchRun run,
                   const std::stop_token& stop);

struct Spread {
  double mean = 0, deviation = 0;  // of a sample: divided by n - 1
};
Spread spread(const std::vector<double>& values);

}  // namespace carat
