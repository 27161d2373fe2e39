#include "app/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "app/config_file.h"
#include "app/environment.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/help.h"
#include "app/nearest.h"

namespace carat {
namespace {

// What other programs call a flag of ours, in a way that is neither short nor long.
constexpr auto kOldNames = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"-sys", "--system"},
    {"-sysf", "--system-file"},
    {"-tb", "--threads-batch"},
    {"-Cr", "--cpu-range"},
    {"-md", "--draft-model"},
    {"-pg", "--prompt-gen"},
    {"-ub", "--ubatch-size"},
    {"-ngl", "--gpu-layers"},
    {"-fa", "--flash-attn"},
    {"-oe", "--output-err"},
    {"-jf", "--json-schema-file"},
    {"-ctk", "--cache-type-k"},
    {"-ctv", "--cache-type-v"},
});

// What users of other programs try, what is to say of it, and what they may have meant.
struct Elsewhere {
  std::string_view flag, what, hint;
};
constexpr auto kElsewhere = std::to_array<Elsewhere>({
    {"--json", "can mean two things", "-o json wraps the answer in JSON, --format json makes the model write JSON"},
    {"--image", "models that see are not built in: a prompt is text", ""},
});

// A model in the settings is one to fall back on: it must not come before the one that an argument names.
constexpr std::string_view kModel = "model", kDefaultModel = "default-model";

bool takes_value(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

// "FILE": CLI11 puts what its validators say behind a colon.
std::string value_name(const CLI::Option& option) {
  const std::string name = option.get_type_name();
  return name.substr(0, name.find(':'));
}

// "-m, --model FILE", "--[no-]stats"
std::string flag_names(const CLI::Option& option, bool all) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const auto& [old, name] : kOldNames)
    if (option.check_lname(std::string(name.substr(2)))) names.emplace_back(old);
  for (const std::string& name : option.get_lnames()) {
    if (name.starts_with("no-")) {
      names.back().insert(2, "[no-]");
    } else if (all || names.empty() || name == option.get_lnames().front()) {
      names.push_back("--" + name);
    }
  }
  const std::string value = takes_value(option) ? " " + value_name(option) : "";
  return CLI::detail::join(names, ", ") + value;
}

std::vector<std::string> choices_of(const CLI::Option& option) {
  try {
    const std::string names = const_cast<CLI::Option&>(option).get_validator(kOneOf)->get_description();
    return CLI::detail::split(names, ' ');
  } catch (const CLI::OptionNotFound&) {
    return {};
  }
}

bool is_hidden(const CLI::Option& option) { return option.get_group().empty(); }

void check_switch(const Setting& setting) {
  try {
    (void)read_switch(setting.value);
  } catch (const BadUsage& e) {
    throw BadUsage(setting.place + ": " + setting.name + ": " + e.what());
  }
}

// Whether any command has it.
bool is_flag_anywhere(const std::string& name) {
  for (const CommandRow& row : commands()) {
    for (const FlagInfo& flag : CommandLine(row).flags(true)) {
      if (std::ranges::find(flag.names, name) != flag.names.end()) return true;
    }
  }
  return false;
}

// That of those which talk to a model; empty: none.
std::string_view talking_command_with(const std::string& flag) {
  for (const CommandRow& row : commands()) {
    if (!row.talks) continue;
    for (const FlagInfo& info : CommandLine(row).flags(true)) {
      if (std::ranges::find(info.names, flag) != info.names.end()) return row.name;
    }
  }
  return {};
}

// In two columns; names that are too long get a line for themselves.
std::string help_line(const std::string& names, const std::string& what) {
  constexpr std::size_t kColumn = 32, kWidth = 100;
  std::string text, line = "  " + names;
  const auto end_line = [&text, &line] {
    text += line + "\n";
    line.clear();
  };
  if (line.size() >= kColumn) end_line();
  line.resize(kColumn, ' ');
  for (const std::string& word : CLI::detail::split(what, ' ')) {
    const bool is_first = line.back() == ' ';
    if (!is_first && line.size() + 1 + word.size() > kWidth) {
      end_line();
      line.resize(kColumn, ' ');
    } else if (!is_first) {
      line += ' ';
    }
    line += word;
  }
  end_line();
  return text;
}

}  // namespace

// The way through the arguments: what is left of them, and where the others went.
struct CommandLine::Walk {
  std::vector<std::string>::const_iterator at, end;
  std::vector<std::string> flags, words;
  std::vector<const CLI::Option*> given;
  std::vector<Setting> settings;  // of the environment and of the file that became flags

  std::string take_value(const std::string& flag) {
    if (at == end) throw BadUsage("flag '" + flag + "' needs a value");
    return *at++;
  }
};

void refuse_words(const Call& call, const std::string& hint) {
  if (!call.words.empty()) throw BadUsage("'" + call.words.front() + "' is one argument too many", hint);
}

CommandLine::CommandLine(const CommandRow& row) : row_(row), app_(std::make_unique<CLI::App>()) {
  app_->set_help_flag();
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command_ = row.add(*app_);
  app_->add_flag("-h,--help", help_, "show the flags of every day");
  app_->add_flag("--help-all", all_help_, "show all flags");
  if (talks()) app_->add_flag("-V,--version", version_, "print the version")->group(kMore);
}

CommandLine::~CommandLine() = default;

std::vector<std::string> CommandLine::parse(const std::vector<std::string>& arguments) {
  Walk walk{arguments.begin(), arguments.end(), {}, {}, {}, {}};
  while (walk.at != walk.end) {
    std::string argument = *walk.at++;
    const std::size_t name_ends = std::min(argument.find('='), argument.size());
    const auto old = std::ranges::find(kOldNames, std::string_view(argument).substr(0, name_ends),
                                       [](const auto& names) { return names.first; });
    const bool is_ours = old != kOldNames.end() && app_->get_option_no_throw(std::string(old->second)) != nullptr;
    if (is_ours) argument.replace(0, name_ends, old->second);
    if (argument == "--") {
      walk.words.insert(walk.words.end(), walk.at, walk.end);
      break;
    }
    if (argument.starts_with("--")) {
      take_long(walk, argument);
    } else if (argument.starts_with('-') && argument != "-") {
      take_short(walk, argument);
    } else {
      walk.words.push_back(std::move(argument));
    }
  }
  add_environment(walk);
  add_settings(walk);
  std::ranges::reverse(walk.flags);  // as CLI11 wants them
  try {
    app_->parse(std::move(walk.flags));
  } catch (const CLI::ParseError& e) {
    const std::string message = e.what();
    for (const Setting& setting : walk.settings) {
      const std::string name = app_->get_option("--" + setting.name)->get_name();
      if (message.starts_with(name + ":")) throw BadUsage(setting.place + ": " + message);
    }
    throw BadUsage(message);
  }
  return std::move(walk.words);
}

// Values of the environment become flags where no argument gives them. CLI11 would leave out those that are wrong.
void CommandLine::add_environment(Walk& walk) const {
  for (const CLI::Option* option : std::as_const(*app_).get_options()) {
    const std::string_view value = environment(option->get_envname().c_str());
    if (value.empty() || std::ranges::find(walk.given, option) != walk.given.end()) continue;
    walk.flags.insert(walk.flags.end(), {"--" + option->get_lnames().front(), std::string(value)});
    walk.settings.push_back({option->get_lnames().front(), std::string(value), option->get_envname()});
  }
}

// Settings of the user's file become flags where neither an argument nor the environment says otherwise.
void CommandLine::add_settings(Walk& walk) const {
  const bool works = app_->get_option_no_throw("--quiet") != nullptr || app_->get_option_no_throw("--model") != nullptr;
  if (!works) return;  // help and the like: a mistake in the file must not be in their way
  for (Setting& setting : read_settings(row_.name)) {
    const std::string name = "--" + (setting.name == kModel ? std::string(kDefaultModel) : setting.name);
    const CLI::Option* const option = app_->get_option_no_throw(name);
    if (option == nullptr) {
      if (is_flag_anywhere("--" + setting.name)) continue;
      throw BadUsage(setting.place + ": '" + setting.name + "' is no flag");
    }
    const bool is_set = !environment(option->get_envname().c_str()).empty();
    if (is_set || std::ranges::find(walk.given, option) != walk.given.end()) continue;
    if (takes_value(*option)) {
      walk.flags.push_back(name);
      walk.flags.push_back(setting.value);
    } else {
      check_switch(setting);
      walk.flags.push_back(name + "=" + setting.value);
    }
    walk.settings.push_back(std::move(setting));
  }
}

void CommandLine::take_long(Walk& walk, const std::string& argument) const {
  const std::size_t equals = argument.find('=');
  std::string name = argument.substr(0, equals);
  std::ranges::replace(name, '_', '-');
  const CLI::Option* option = app_->get_option_no_throw(name);
  if (option == nullptr) refuse(name);
  walk.given.push_back(option);
  if (!takes_value(*option)) {
    walk.flags.push_back(equals == std::string::npos ? name : name + argument.substr(equals));
    return;
  }
  walk.flags.push_back(name);  // and its value by itself, which may be empty then
  walk.flags.push_back(equals == std::string::npos ? walk.take_value(name) : argument.substr(equals + 1));
}

// "-t2", "-t 2", "-t=2", "-qv"
void CommandLine::take_short(Walk& walk, const std::string& argument) const {
  for (std::size_t i = 1; i < argument.size(); ++i) {
    const std::string name = {'-', argument[i]};
    const CLI::Option* option = app_->get_option_no_throw(name);
    if (option == nullptr) refuse(argument);
    walk.flags.push_back(name);
    walk.given.push_back(option);
    if (!takes_value(*option)) continue;
    const bool has_equals = i + 1 < argument.size() && argument[i + 1] == '=';
    const std::string value = argument.substr(i + (has_equals ? 2 : 1));
    walk.flags.push_back(value.empty() && !has_equals ? walk.take_value(name) : value);
    return;
  }
}

void CommandLine::refuse(const std::string& flag) const {
  const auto elsewhere = std::ranges::find(kElsewhere, flag, &Elsewhere::flag);
  if (elsewhere != kElsewhere.end() && talks()) {
    throw BadUsage(flag + ": " + std::string(elsewhere->what), std::string(elsewhere->hint));
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : std::as_const(*app_).get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::string near = suggestion(flag, names);
  const std::string command(row_.name);
  const std::string_view other = talks() ? talking_command_with(flag) : "";
  throw BadUsage("'" + flag + "' is not a flag of '" + command + "'",
                 !other.empty() ? "'carat " + std::string(other) + "' has it"
                 : near.empty() ? "'carat " + command + " --help-all' lists them"
                                : near);
}

Asked CommandLine::asked() const {
  return all_help_ ? Asked::all_help : help_ ? Asked::help : version_ ? Asked::version : Asked::work;
}

bool CommandLine::asks_for_isas() const {
  const CLI::Option* isa = app_->get_option_no_throw("--isa");
  return isa != nullptr && isa->count() > 0 && isa->as<std::string>() == "list";
}

std::vector<FlagInfo> CommandLine::flags(bool all_names) const {
  std::vector<FlagInfo> flags;
  for (const CLI::Option* option : std::as_const(*app_).get_options()) {
    if (is_hidden(*option)) continue;
    FlagInfo flag;
    for (const std::string& name : option->get_snames()) flag.names.push_back("-" + name);
    for (const auto& [old, name] : kOldNames)
      if (option->check_lname(std::string(name.substr(2)))) flag.names.emplace_back(old);
    for (const std::string& name : option->get_lnames()) flag.names.push_back("--" + name);
    flag.shown = flag_names(*option, all_names);
    if (takes_value(*option)) flag.value = value_name(*option);
    flag.choices = choices_of(*option);
    flag.what = option->get_description();
    flag.is_daily = option->get_group() != kMore;
    flags.push_back(std::move(flag));
  }
  return flags;
}

std::string CommandLine::help(bool all) const {
  std::ostringstream text;
  text << "usage: carat " << row_.name << ' ' << row_.arguments << "\n" << row_.what << "\n\n";
  bool hides_some = false;
  for (const FlagInfo& flag : flags(all)) {
    const bool shown = all || flag.is_daily;
    if (shown) text << help_line(flag.shown, flag.what);
    hides_some |= !shown;
  }
  if (hides_some) text << "\n'carat " << row_.name << " --help-all' shows all flags.\n";
  return text.str();
}

}  // namespace carat
