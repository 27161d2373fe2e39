// The flags of carat run.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/constraint_flags.h"
#include "app/options.h"
#include "app/output_flags.h"
#include "app/prompt.h"
#include "app/render_flags.h"
#include "app/sampling_flags.h"

namespace carat {

// What may differ from request to request: as flags, or as the "options" of a worker's request.
struct QueryFlags {
  std::optional<std::int64_t> tokens;  // -1: as many as the context has room for
  SamplingFlags sampling;
  std::vector<std::string> stops;
  std::optional<std::size_t> logprobs;
  ConstraintFlags constraint;

  void add_to(CLI::App&);
};

struct RunOptions {
  ModelFlags model;
  PromptFlags prompt;
  std::string messages;  // a file
  FrameFlags frame;
  RenderFlags render;
  bool raw = false, echo = false;
  ContextFlags context;
  LookupFlags lookup;
  OverflowFlags overflow{Overflow::stop};
  QueryFlags query;
  BackendFlags backend;
  OutputFlags output;
  std::string input_format = "text";  // jsonl
  std::size_t parallel = 1;
  SessionFlags session;
  TimeoutFlag timeout;
  LogFlags log;

  void add_to(CLI::App&);
  bool is_worker() const { return input_format == "jsonl"; }

  // Throws BadUsage for flags that do not go together.
  void check() const;
};

}  // namespace carat
