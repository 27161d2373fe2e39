#include "app/command_line.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "app/failure.h"
#include "app/flags.h"
#include "app/nearest.h"

namespace carat {
namespace {

// What other programs call a flag of ours, in a way that is neither short nor long.
constexpr auto kOldNames = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"-sys", "--system"},
    {"-sysf", "--system-file"},
    {"-pg", "--prompt-gen"},
    {"-ub", "--ubatch-size"},
    {"-ngl", "--n-gpu-layers"},
    {"-fa", "--flash-attn"},
    {"-oe", "--output-err"},
    {"-jf", "--json-schema-file"},
    {"-ctk", "--cache-type-k"},
    {"-ctv", "--cache-type-v"},
});

bool takes_value(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

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
  const std::string value = takes_value(option) ? " " + option.get_type_name() : "";
  return CLI::detail::join(names, ", ") + value;
}

// In two columns; names that are too long get a line for themselves.
std::string help_line(const std::string& names, const std::string& what) {
  constexpr std::size_t kColumn = 30;
  const bool fits = names.size() < kColumn;
  const std::string gap = fits ? std::string(kColumn - names.size(), ' ') : "\n" + std::string(kColumn + 2, ' ');
  return "  " + names + gap + what + "\n";
}

}  // namespace

// The way through the arguments: what is left of them, and where the others went.
struct CommandLine::Walk {
  std::vector<std::string>::const_iterator at, end;
  std::vector<std::string> flags, words;

  std::string take_value(const std::string& flag) {
    if (at == end) throw BadUsage("flag '" + flag + "' needs a value");
    return *at++;
  }
};

CommandLine::CommandLine(const CommandRow& row) : row_(row), app_(std::make_unique<CLI::App>()) {
  app_->set_help_flag();
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command_ = row.add(*app_);
  app_->add_flag("-h,--help", help_, "show the flags of every day");
  app_->add_flag("--help-all", all_help_, "show all flags");
}

CommandLine::~CommandLine() = default;

std::vector<std::string> CommandLine::parse(const std::vector<std::string>& arguments) {
  Walk walk{arguments.begin(), arguments.end(), {}, {}};
  while (walk.at != walk.end) {
    std::string argument = *walk.at++;
    const auto old = std::ranges::find(kOldNames, argument, [](const auto& names) { return names.first; });
    const bool is_ours = old != kOldNames.end() && app_->get_option_no_throw(std::string(old->second)) != nullptr;
    if (is_ours) argument = old->second;
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
  std::ranges::reverse(walk.flags);  // as CLI11 wants them
  app_->parse(std::move(walk.flags));
  return std::move(walk.words);
}

void CommandLine::take_long(Walk& walk, const std::string& argument) const {
  const std::size_t equals = argument.find('=');
  std::string name = argument.substr(0, equals);
  std::ranges::replace(name, '_', '-');
  const CLI::Option* option = app_->get_option_no_throw(name);
  if (option == nullptr) refuse(name);
  if (!takes_value(*option)) {
    walk.flags.push_back(equals == std::string::npos ? name : name + argument.substr(equals));
    return;
  }
  walk.flags.push_back(name);  // and its value by itself, which may be empty then
  walk.flags.push_back(equals == std::string::npos ? walk.take_value(name) : argument.substr(equals + 1));
}

// "-t2", "-t 2", "-qv"
void CommandLine::take_short(Walk& walk, const std::string& argument) const {
  for (std::size_t i = 1; i < argument.size(); ++i) {
    const std::string name = {'-', argument[i]};
    const CLI::Option* option = app_->get_option_no_throw(name);
    if (option == nullptr) refuse(argument);
    walk.flags.push_back(name);
    if (!takes_value(*option)) continue;
    walk.flags.push_back(i + 1 < argument.size() ? argument.substr(i + 1) : walk.take_value(name));
    return;
  }
}

void CommandLine::refuse(const std::string& flag) const {
  std::vector<std::string> names;
  for (const CLI::Option* option : std::as_const(*app_).get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::string near = suggestion(flag, names);
  const std::string command(row_.name);
  throw BadUsage("'" + flag + "' is not a flag of '" + command + "'",
                 near.empty() ? "'carat " + command + " --help-all' lists them" : near);
}

Asked CommandLine::asked() const { return all_help_ ? Asked::all_help : help_ ? Asked::help : Asked::work; }

bool CommandLine::asks_for_isas() const {
  const CLI::Option* isa = app_->get_option_no_throw("--isa");
  return isa != nullptr && isa->count() > 0 && isa->as<std::string>() == "list";
}

std::string CommandLine::help(bool all) const {
  std::ostringstream text;
  text << "usage: carat " << row_.name << ' ' << row_.arguments << "\n" << row_.what << "\n\n";
  bool hides_some = false;
  for (const CLI::Option* option : std::as_const(*app_).get_options()) {
    const bool shown = all || option->get_group() != kMore;
    if (shown) text << help_line(flag_names(*option, all), option->get_description());
    hides_some |= !shown;
  }
  if (hides_some) text << "\n'carat " << row_.name << " --help-all' shows all flags.\n";
  return text.str();
}

}  // namespace carat
