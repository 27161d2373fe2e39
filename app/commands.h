// The subcommands. A new one is a file with its add_…, a declaration here and a row of the table in main.cpp.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/stopwatch.h"

namespace CLI {
class App;
}

namespace carat {

class Interrupt;

// What is left to a command when its flags are parsed.
struct Call {
  std::vector<std::string> words;  // the arguments that are no flags, in order
  Interrupt& interrupt;
  Stopwatch start;  // since main() began. The kernel's start of the process is no better: exec() keeps an older one
};

// Throws BadUsage if a word is left that nobody has taken.
void refuse_words(const Call& call, const std::string& hint = {});

// The work of a command, which has its flags; returns the exit code.
using Command = std::function<int(Call&)>;

struct CommandRow {
  std::string_view name;
  std::string_view arguments;  // as the usage line shows them
  std::string_view what;
  Command (*add)(CLI::App&);  // adds the flags to a parser
  bool talks = false;         // to a model
};

std::span<const CommandRow> commands();

Command add_run(CLI::App&);
Command add_chat(CLI::App&);
Command add_info(CLI::App&);
Command add_tokenize(CLI::App&);
Command add_eval(CLI::App&);
Command add_bench(CLI::App&);
Command add_compress_weights(CLI::App&);
Command add_migrate_weights(CLI::App&);
Command add_list(CLI::App&);
Command add_devices(CLI::App&);
Command add_completion(CLI::App&);
Command add_version(CLI::App&);
Command add_help(CLI::App&);

}  // namespace carat
