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

// Flags that carat chat has as well.
void add_messages(CLI::App&, std::string& file);
void add_raw(CLI::App&, bool& raw);
void add_echo(CLI::App&, bool& echo);
void add_logprobs(CLI::App&, std::optional<std::size_t>& count);

// What does not go with them. Both throw BadUsage.
void check_raw(bool raw, const FrameFlags& frame, const RenderFlags& render, const std::string& messages);
void check_shown(const OutputFlags& output, bool echo, std::optional<std::size_t> logprobs);

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
  LoadFlags load;
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

 private:
  std::vector<std::string> stdin_flags() const;
};

}  // namespace carat
