// carat help and carat version.
#include "app/help.h"

#include <algorithm>
#include <cstdio>

#include "app/command_line.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/json_event.h"
#include "app/manual_page.h"
#include "app/nearest.h"
#include "app/output.h"
#include "kernels/gpu.h"

namespace carat {

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const CommandRow& row : commands()) names.emplace_back(row.name);
  return names;
}

const CommandRow* find_command(std::string_view name) {
  const auto rows = commands();
  const auto row = std::ranges::find(rows, name, &CommandRow::name);
  return row == rows.end() ? nullptr : &*row;
}

std::string_view built_from() { return CARAT_COMMIT; }

std::string overview() {
  std::string text =
      "carat runs language models from GGUF and .sbs files, on the CPU.\n\n"
      "  carat run -p 'What can you do?'        the small model inside answers\n"
      "  carat run -m MODEL.gguf -p 'Why is the sky blue?'\n"
      "  carat chat -m MODEL.gguf\n\n"
      "commands:\n";
  for (const CommandRow& row : commands()) {
    char line[160];
    std::snprintf(line, sizeof line, "  %-18s%s\n", std::string(row.name).c_str(), std::string(row.what).c_str());
    text += line;
  }
  return text + "\n'carat COMMAND --help' shows the flags of a command. Without a command, it is 'run'.\n";
}

Command add_version(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  add_switch(app, "--json", *json, "as JSON");
  return [json](Call& call) {
    refuse_words(call);
    if (*json) {
      print(json_line({{"name", "carat"},
                       {"version", CARAT_VERSION},
                       {"commit", built_from()},
                       {"compiler", CARAT_COMPILER},
                       {"isas", usable_isas()},
                       {"cuda", gpu_kind() == "cuda"}}));
    } else {
      print("carat " CARAT_VERSION "\n");
    }
    return kExitDone;
  };
}

Command add_help(CLI::App& app) {
  const auto man = std::make_shared<bool>(false);
  add_switch(app, "--man", *man, "print the manual page: carat help --man >carat.1");
  return [man](Call& call) {
    if (*man) {
      print(manual_page());
      return kExitDone;
    }
    if (call.words.empty()) {
      print(overview());
      return kExitDone;
    }
    const CommandRow* const row = find_command(call.words.front());
    if (row == nullptr) {
      throw BadUsage("no help on '" + call.words.front() + "'", suggestion(call.words.front(), command_names()));
    }
    print(CommandLine(*row).help(true));
    return kExitDone;
  };
}

}  // namespace carat
