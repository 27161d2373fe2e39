#include "app/chat_commands.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "app/chat.h"
#include "app/chat_reports.h"
#include "app/chat_settings.h"
#include "app/failure.h"
#include "app/log.h"
#include "app/render_flags.h"
#include "app/text_input.h"
#include "app/user_path.h"
#include "engine/file/quote.h"

namespace carat {
namespace {

using Left = std::optional<int>;  // the exit code to leave with
using Takes = ChatCommand::Takes;

Left run_exit(Chat&, const std::string&) { return kExitDone; }

Left run_help(Chat&, const std::string& argument);

Left run_clear(Chat& chat, const std::string&) {
  chat.conversation().clear();
  return std::nullopt;
}

Left run_undo(Chat& chat, const std::string&) {
  Turn taken;
  if (!chat.conversation().undo(&taken)) {
    say("[there is no turn to take back]");
  } else {
    say("[taken back: " + first_line(taken.question) + "]");
  }
  return std::nullopt;
}

Left run_forget(Chat& chat, const std::string&) {
  say(chat.conversation().forget_oldest() ? "[the oldest turn is forgotten]" : "[there is no turn to forget]");
  return std::nullopt;
}

Left run_edit(Chat& chat, const std::string&) {
  Turn taken;
  if (chat.conversation().undo(&taken)) return chat.offer(taken.question);
  say("[there is no question to edit]");
  return std::nullopt;
}

// The question again. The old answer comes back if the new one does not begin.
Left run_regen(Chat& chat, const std::string& argument) {
  std::int64_t seed = 0;
  const char* const end = argument.data() + argument.size();
  const auto [at, error] = std::from_chars(argument.data(), end, seed);
  if (!argument.empty() && (error != std::errc() || at != end || seed < 0))
    throw BadUsage(quote(argument) + " is not a seed");
  Conversation& conversation = chat.conversation();
  Turn taken;
  if (!conversation.undo(&taken)) {
    say("[there is no answer to write again]");
    return std::nullopt;
  }
  if (!argument.empty()) {
    SamplingOptions sampling = conversation.sampling();
    sampling.seed = static_cast<std::uint64_t>(seed);
    SamplingFlags flags = chat.sampling_flags();
    flags.seed = seed;
    chat.set_sampling(flags, sampling);
  } else if (conversation.sampling().temperature == 0) {
    say("[the temperature is 0: the answer will be the same]");
  }
  const std::size_t turns = conversation.transcript().turns.size();
  Left left;
  try {
    left = chat.ask(taken.question);
  } catch (const std::exception&) {
    conversation.put_back(std::move(taken));
    throw;
  }
  if (conversation.transcript().turns.size() == turns) {
    conversation.put_back(std::move(taken));
    chat.withdraw_offer();
  }
  return left;
}

Left run_system(Chat& chat, const std::string& argument) {
  const std::string& system = chat.conversation().transcript().system;
  if (!argument.empty()) {
    chat.conversation().set_system(argument);
  } else {
    say(system.empty() ? "[there is no system text]" : system);
  }
  return std::nullopt;
}

Left run_set(Chat& chat, const std::string& argument) {
  if (argument.empty()) {
    say(list_settings(chat));
  } else {
    change_setting(chat, argument);
  }
  return std::nullopt;
}

Left run_think(Chat& chat, const std::string& argument) {
  Conversation& conversation = chat.conversation();
  RenderFlags flags;
  flags.think = argument;
  const bool is_on = argument == "on" || flags.budget();
  if (!is_on && argument != "off" && !argument.empty()) {
    throw BadUsage(quote(argument) + " is neither 'on' nor 'off' nor a number of tokens");
  }
  const bool can_limit = conversation.frame().opens_with_thought() && flags.budget();
  if (!conversation.frame().has_think_switch() && !can_limit) {
    say("[this model has no switch for thinking]");
  } else if (argument.empty()) {
    say(conversation.thinking() ? "[thinking is on]" : "[thinking is off]");
  } else {
    if (is_on && !conversation.constraint().empty()) throw BadUsage("/format off comes first");
    conversation.set_thinking(is_on, flags.budget());
  }
  return std::nullopt;
}

void tell_constraint(const Conversation& conversation) {
  const bool held = !conversation.constraint().empty();
  say(held ? "[answers are held to: " + std::string(conversation.constraint()) + "]" : "[answers are free]");
}

Left run_format(Chat& chat, const std::string& argument) {
  Conversation& conversation = chat.conversation();
  if (argument != "json" && argument != "off" && !argument.empty()) {
    throw BadUsage(quote(argument) + " is neither 'json' nor 'off'");
  }
  if (!argument.empty()) {
    ConstraintFlags flags;
    if (argument == "json") flags.format = argument;
    conversation.set_constraint(flags);
  }
  tell_constraint(conversation);
  return std::nullopt;
}

Left run_schema(Chat& chat, const std::string& argument) {
  ConstraintFlags flags;
  flags.json_schema_file = user_path(argument);
  chat.conversation().set_constraint(flags);
  tell_constraint(chat.conversation());
  return std::nullopt;
}

Left run_read(Chat& chat, const std::string& argument) {
  const std::string path = user_path(argument);
  std::string text = read_text(path);
  check_text(text, path);
  say("[" + path + ": " + std::to_string(text.size()) + " bytes, in front of what you say next]");
  if (!text.ends_with('\n')) text += '\n';
  chat.attach(text + "\n");
  return std::nullopt;
}

Left run_context(Chat& chat, const std::string&) {
  say(describe_context(chat.conversation()));
  return std::nullopt;
}

Left run_stats(Chat& chat, const std::string&) {
  say(describe_stats(chat));
  return std::nullopt;
}

Left run_show(Chat& chat, const std::string& argument) {
  say(describe(chat, argument));
  return std::nullopt;
}

Left run_save(Chat& chat, const std::string& argument) {
  const std::string path = user_path(argument);
  chat.save(path);
  say("[saved: " + path + "]");
  return std::nullopt;
}

Left run_load(Chat& chat, const std::string& argument) {
  const std::string path = user_path(argument);
  chat.resume(path, path);
  return std::nullopt;
}

Left run_session(Chat& chat, const std::string&) {
  say(describe_session(chat));
  return std::nullopt;
}

constexpr std::array kTable = {
    ChatCommand{"/help", "[COMMAND]", "show this", Takes::command, run_help},
    ChatCommand{"/exit", "", "leave (also /quit, /bye, %q and Ctrl-D)", Takes::nothing, run_exit},
    ChatCommand{"/clear", "", "forget the turns, keep the system text (also %c)", Takes::nothing, run_clear},
    ChatCommand{"/regen", "[SEED]", "write the last answer again", Takes::text, run_regen},
    ChatCommand{"/edit", "", "take the last question back, to change it", Takes::nothing, run_edit},
    ChatCommand{"/undo", "", "forget the last turn", Takes::nothing, run_undo},
    ChatCommand{"/forget", "", "forget the oldest turn", Takes::nothing, run_forget},
    ChatCommand{"/system", "[TEXT]", "show or change what the model is told first", Takes::text, run_system},
    ChatCommand{"/set", "[NAME VALUE]", "show or change how tokens are chosen", Takes::setting, run_set},
    ChatCommand{"/think", "[on|off|N]", "whether the model thinks, or for how many tokens", Takes::choice, run_think},
    ChatCommand{"/format", "[json|off]", "write JSON objects, or what comes", Takes::choice, run_format},
    ChatCommand{"/schema", "FILE", "write JSON as a schema has it; /format off ends that", Takes::path, run_schema},
    ChatCommand{"/read", "FILE", "put a file in front of what you say next", Takes::path, run_read},
    ChatCommand{"/context", "", "show how full the context is, turn by turn", Takes::nothing, run_context},
    ChatCommand{"/stats", "", "show how fast the last answer was", Takes::nothing, run_stats},
    ChatCommand{"/show", "info|template|params|prompt", "the model, or the exact tokens", Takes::choice, run_show},
    ChatCommand{"/save", "FILE", "write the conversation to a file", Takes::path, run_save},
    ChatCommand{"/load", "FILE", "go on with the conversation in a file", Takes::path, run_load},
    ChatCommand{"/session", "", "show where this chat is kept", Takes::nothing, run_session},
};

// Other names, all from programs that people come from.
constexpr auto kAliases = std::to_array<std::pair<std::string_view, std::string_view>>(
    {{"/?", "/help"}, {"/quit", "/exit"}, {"/bye", "/exit"}, {"%q", "/exit"}, {"%c", "/clear"}});

constexpr std::string_view kKeys =
    "//TEXT            say \"/TEXT\" to the model\n"
    "\"\"\"               begin a text of several lines, and end it\n"
    "Ctrl-C            stop an answer; clear the line; twice on an empty line: leave\n"
    "Ctrl-J, Alt-Enter begin a new line, as \\ at the end does\n"
    "Ctrl-R, Ctrl-G    search what was typed before; write in your editor";

Left run_help(Chat&, const std::string& argument) {
  const auto line = [](const ChatCommand& command) {
    const std::string usage = std::string(command.name) + " " + std::string(command.arguments);
    return usage + std::string(usage.size() < 18 ? 18 - usage.size() : 1, ' ') + std::string(command.what);
  };
  if (!argument.empty()) {
    const ChatCommand* const command = find_chat_command(argument.starts_with('/') ? argument : "/" + argument);
    if (command == nullptr) throw BadUsage(quote(argument) + " is no command");
    say(line(*command));
    return std::nullopt;
  }
  for (const ChatCommand& command : kTable) say(line(command));
  say(kKeys);
  return std::nullopt;
}

}  // namespace

std::span<const ChatCommand> chat_commands() { return kTable; }

const ChatCommand* find_chat_command(std::string_view name) {
  const auto alias = std::ranges::find(kAliases, name, [](const auto& names) { return names.first; });
  if (alias != kAliases.end()) name = alias->second;
  const auto command = std::ranges::find(kTable, name, &ChatCommand::name);
  return command == kTable.end() ? nullptr : &*command;
}

}  // namespace carat
