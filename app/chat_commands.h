// The commands of a chat: "/NAME ARGUMENTS". A new one is a row of the table.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace carat {

class Chat;

struct ChatCommand {
  enum class Takes { nothing, text, path, command, setting, choice };

  std::string_view name;       // "/read"
  std::string_view arguments;  // as the help shows them; of Takes::choice: "on|off"
  std::string_view what;
  Takes takes;
  std::optional<int> (*run)(Chat& chat, const std::string& argument);  // returns the exit code to leave with
};

std::span<const ChatCommand> chat_commands();

// The command that a line names, by its own name or another it goes by; none: nullptr.
const ChatCommand* find_chat_command(std::string_view name);

}  // namespace carat
