// The flags of carat chat.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
  FrameFlags frame;
  RenderFlags render;
  std::int64_t tokens = -1;  // of an answer; -1: as many as there is room for
  ContextFlags context;
  LookupFlags lookup;
  OverflowFlags overflow{Overflow::drop_turns};
  SamplingFlags sampling;
  std::vector<std::string> stops;
  BackendFlags backend;
  SessionFlags session;
  bool continues = false;  // the last chat
  ThoughtFlags thoughts;
  std::string input_format;  // of standard input that is no terminal: text, jsonl; empty: there has to be a terminal
  TimeoutFlag timeout;       // of each answer
  bool stats = false;
  LogFlags log;

  void add_to(CLI::App&);
};

}  // namespace carat
