// The flags of carat chat.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/conversation.h"
#include "app/options.h"
#include "app/prompt.h"
#include "app/sampling_flags.h"

namespace CLI {
class App;
}

namespace carat {

struct ChatOptions {
  ModelFlags model;
  FrameFlags frame;
  std::int64_t tokens = -1;  // of an answer; -1: as many as there is room for
  ContextFlags context;
  LookupFlags lookup;
  std::string overflow = "drop-turns";
  std::size_t keep = 0;
  SamplingFlags sampling;
  std::vector<std::string> stops;
  BackendFlags backend;
  std::string session;     // a file to go on with and to keep the chat in
  bool read_only = false;  // do not change it
  bool continues = false;  // the last chat
  std::string think_output = "auto";
  bool stats = false;
  LogFlags log;

  void add_to(CLI::App&);
};

}  // namespace carat
