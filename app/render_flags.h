// What a turn template lets a user choose: thinking, and the arguments that it has names for.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/thoughts.h"
#include "tokenizer/chat_frame.h"

namespace CLI {
class App;
}

namespace carat {

struct RenderFlags {
  std::string think = "auto";          // on, off, or how many tokens
  std::vector<std::string> arguments;  // "NAME=VALUE"

  void add_to(CLI::App&);

  bool wants_thoughts() const { return think != "auto" && think != "off"; }
  std::optional<std::size_t> budget() const;  // tokens of thought; none: any number

  bool empty() const { return think == "auto" && arguments.empty(); }

  // Both throw BadUsage for what the frame cannot do.
  RenderOptions options(const ChatFrame& frame) const;
  Thoughts thoughts(const ChatFrame& frame) const;
};

}  // namespace carat
