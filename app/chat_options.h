// The flags of carat chat.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/constraint_flags.h"
#include "app/conversation.h"
#include "app/options.h"
#include "app/output_flags.h"
#include "app/prompt.h"
#include "app/render_flags.h"
#include "app/sampling_flags.h"

namespace CLI {
class App;
}

namespace carat {

struct ChatOptions {
  ModelFlags model;
  PromptFlags prompt;    // what is asked first
  std::string messages;  // a file: what was said before
  FrameFlags frame;
  RenderFlags render;
  bool raw = false, echo = false;
  std::int64_t tokens = -1;  // of an answer; -1: as many as there is room for
  ContextFlags context;
  LookupFlags lookup;
  OverflowFlags overflow{Overflow::drop_turns};
  SamplingFlags sampling;
  std::vector<std::string> stops;
  std::optional<std::size_t> logprobs;
  ConstraintFlags constraint;
  LoadFlags load;
  BackendFlags backend;
  SessionFlags session;
  bool continues = false;  // the last chat
  OutputFlags output;
  std::string input_format;  // of standard input that is no terminal: text, jsonl; empty: there has to be a terminal
  TimeoutFlag timeout;       // of each answer
  LogFlags log;

  void add_to(CLI::App&);

  // Throws BadUsage for flags that do not go together.
  void check() const;
};

}  // namespace carat
