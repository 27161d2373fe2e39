// What happens while a request is answered, as data. The order is: Start, then Progress, Warning and Delta in any
// number, then one Result; or an ErrorEvent in place of the rest.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/sampler.h"

namespace carat {

// Where a request is. Each value's name, in JSON, is its spelling here.
enum class Phase : std::uint8_t { usage, input, load, tokenize, prefill, decode };
std::string_view phase_name(Phase phase);

// What a model's file says of it.
struct ModelFacts {
  std::string name, path, format, architecture;
  std::string quant;             // the type that most bytes of weights are of: "q4_k"
  int bits = 0;                  // of an element of that type, without the scales: 4, 8, 16, 32
  std::uint64_t parameters = 0;  //
  std::size_t context = 0;       // that it was trained for
};

// The model is there, and how it will be used is settled.
struct Start {
  ModelFacts model;
  std::size_t context = 0, threads = 0, batch = 0;
  std::string device;  // "cpu", a kind of GPU, or both
  std::string isa;     // the CPU's instruction set
  std::size_t gpu_layers = 0;
  std::string template_name;
  SamplingOptions sampling;
};

struct Progress {
  Phase phase = Phase::load;  // load or prefill
  std::uint64_t done = 0, total = 0;
  std::string_view unit;  // "bytes", "tokens"
  double elapsed_ms = 0;  // of this phase
};

// What the user did not ask for but should know, and is told on standard error, too. `code` is for programs.
struct Warning {
  std::string code, message;
};

enum class Channel : std::uint8_t { answer, reasoning };

struct TokenChance {
  TokenId id = 0;
  std::string token;
  double logprob = 0;
};

// A token that was written: how likely it was, and what else might have been written, most likely first.
struct TokenChances {
  TokenChance chosen;
  std::vector<TokenChance> top;
};

// More text: whole code points.
struct Delta {
  Channel channel = Channel::answer;
  std::string text;
  std::vector<TokenId> ids;            // tokens since the last delta; their text may be shown later, or never
  bool lossy = false;                  // some U+FFFD stands for bytes that were not UTF-8
  std::vector<TokenChances> logprobs;  // of `ids`, if asked for
};

enum class FinishReason : std::uint8_t {
  stop,         // the model said it is done, or wrote a stop text
  length,       // as many tokens as were asked for
  context,      // no room for another
  timeout,      // the deadline came
  interrupted,  // by a signal, or cancelled
  constraint,   // nothing that the constraint allows could be written
  error,        // something failed, which a warning has told before
};
std::string_view reason_name(FinishReason reason);

// What a reply with FinishReason::stop ended at.
struct StopCause {
  enum class Kind : std::uint8_t { end_token, stop_text };
  Kind kind = Kind::end_token;
  std::string value;  // the token as the vocabulary spells it, or the text
};

// What a reply was held to, and whether all of it was.
struct ConstraintResult {
  std::string kind;  // "json", "json_schema", "grammar", "regex"
  bool satisfied = false;
  double ms = 0;  // that it took to hold the answer to it
};

struct Usage {
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;      // of them, those that did not have to be read
  std::size_t completion_tokens = 0;  // without the end token
  std::size_t reasoning_tokens = 0;   // of them
  std::size_t total() const { return prompt_tokens + completion_tokens; }
};

// In milliseconds. `ttft` and `total` count from where the caller's clock began: the process, or the request.
struct Timings {
  double load_ms = 0, prompt_ms = 0, ttft_ms = 0, predicted_ms = 0, total_ms = 0;
};

// In bytes.
struct MemoryUse {
  std::uint64_t weights = 0, kv = 0, peak_rss = 0;
};

// The end of an answer.
struct Result {
  std::string text;                      // of the answer: all its deltas
  std::optional<std::string> reasoning;  // of the thoughts, if there were any
  FinishReason reason = FinishReason::stop;
  std::optional<StopCause> stop;
  std::optional<ConstraintResult> constraint;
  Usage usage;
  Timings timings;
  MemoryUse memory;
  std::uint64_t seed = 0;
  int exit_code = 0;

  // That timings.predicted_ms is the time of: reading the prompt brings the first token, and an end token is no part of
  // the answer.
  std::size_t steps() const {
    const bool ends_by_token = stop && stop->kind == StopCause::Kind::end_token;
    const std::size_t tokens = usage.completion_tokens + (ends_by_token ? 1 : 0);
    return tokens > 0 ? tokens - 1 : 0;
  }
};

// The end of a request that has no answer.
struct ErrorEvent {
  std::string code;  // for programs: "prompt_too_long"
  std::string message, hint;
  Phase phase = Phase::usage;
  int exit_code = 1;
  bool retryable = false;                // the same request may succeed later
  std::optional<std::size_t> line = {};  // of the input that the request is on
};

using Event = std::variant<Start, Progress, Warning, Delta, Result, ErrorEvent>;

inline bool is_terminal(const Event& event) {
  return std::holds_alternative<Result>(event) || std::holds_alternative<ErrorEvent>(event);
}

}  // namespace carat
