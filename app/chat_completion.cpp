#include "app/chat_completion.h"

#include <algorithm>

#include "app/chat_commands.h"
#include "app/chat_settings.h"
#include "app/user_path.h"

namespace carat {
namespace {

void keep_those_with(std::string_view begin, std::vector<std::string>& words) {
  std::erase_if(words, [begin](const std::string& word) { return !word.starts_with(begin); });
}

// "on|off", "[on|off]"
std::vector<std::string> choices(std::string_view arguments) {
  std::vector<std::string> words(1);
  for (const char c : arguments) {
    if (c == '|') {
      words.emplace_back();
    } else if (c != '[' && c != ']') {
      words.back() += c;
    }
  }
  return words;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const ChatCommand& command : chat_commands()) {
    names.push_back(std::string(command.name) + (command.takes == ChatCommand::Takes::nothing ? "" : " "));
  }
  return names;
}

}  // namespace

Completion complete_chat_line(std::string_view text) {
  if (!text.starts_with('/') || text.starts_with("//") || text.find('\n') != std::string_view::npos) return {};
  Completion completion;
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) {
    completion.words = command_names();
  } else {
    const ChatCommand* const command = find_chat_command(text.substr(0, space));
    if (command == nullptr) return {};
    completion.start = std::min(text.find_first_not_of(' ', space), text.size());
    if (command->takes == ChatCommand::Takes::path) {
      completion.words = complete_path(std::string(text.substr(completion.start)));
    } else if (command->takes == ChatCommand::Takes::choice) {
      completion.words = choices(command->arguments);
    } else if (command->takes == ChatCommand::Takes::setting) {
      completion.words = setting_names();
    } else if (command->takes == ChatCommand::Takes::command) {
      completion.words = command_names();
    }
  }
  keep_those_with(text.substr(completion.start), completion.words);
  return completion;
}

}  // namespace carat
