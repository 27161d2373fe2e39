// carat: the table of commands, the way from arguments to one of them, and the one place where failures end.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <new>
#include <optional>

#include "app/command_line.h"
#include "app/config_file.h"
#include "app/failure.h"
#include "app/fault.h"
#include "app/flags.h"
#include "app/help.h"
#include "app/interrupt.h"
#include "app/json_sink.h"
#include "app/log.h"
#include "app/model_names.h"
#include "app/nearest.h"
#include "app/output.h"
#include "app/text_input.h"
#include "app/user_path.h"
#include "kernels/backend.h"

namespace carat {
namespace {

constexpr CommandRow kCommands[] = {
    {"run", "[-m] MODEL [PROMPT…]", "answer one prompt", add_run, true},
    {"chat", "[-m] MODEL", "talk, turn by turn", add_chat, true},
    {"info", "[-m] MODEL", "show what a model file holds", add_info},
    {"tokenize", "[-m] MODEL [TEXT…]", "turn text into token ids, or ids into text", add_tokenize},
    {"eval", "[-m] MODEL -f FILE | --ids-file FILE --logits-out FILE", "measure perplexity, write logits", add_eval},
    {"bench", "[-m] MODEL[,MODEL…] | --preset NAME", "measure speed, and print it as llama-bench does", add_bench},
    {"compress-weights", "IN OUT", "convert a model, or make it smaller", add_compress_weights},
    {"migrate-weights", "--weights FILE --output-weights FILE", "bring an old .sbs file up to date",
     add_migrate_weights},
    {"list", "", "list the models: the one inside, and those in the folders of CARAT_MODELS", add_list},
    {"devices", "", "show what there is to run on", add_devices},
    {"completion", "bash|zsh|fish", "print a script that completes commands and flags", add_completion},
    {"version", "", "print the version", add_version},
    {"help", "[COMMAND]", "print this, or all flags of a command", add_help},
};

// A descriptor that is closed would become the next file to be opened, and be written to.
void occupy_standard_descriptors() {
  while (true) {
    const int descriptor = ::open("/dev/null", O_RDONLY);
    if (descriptor > STDERR_FILENO || descriptor < 0) {
      ::close(descriptor);
      return;
    }
  }
}

// The command that is meant, whose name is taken off: without one, `run`.
const CommandRow& take_command(std::vector<std::string>& arguments) {
  const std::string first = arguments.empty() ? "" : arguments.front();
  const bool is_version = first == "-V" || first == "--version";
  const bool is_help = first == "-h" || first == "--help" || first == "--help-all";
  const CommandRow* const row = find_command(is_version ? "version" : is_help ? "help" : first);
  if (row != nullptr) {
    arguments.erase(arguments.begin());
    return *row;
  }
  if (!first.starts_with('-') && !is_there(first) && find_model(first).empty()) {
    const std::string near = suggestion(first, command_names());
    if (!near.empty()) throw BadUsage("'" + first + "' is neither a command nor a file", near);
  }
  return *find_command("run");
}

// What the user's settings say of the answers' format, if they can be read.
std::string format_in_settings(std::string_view command) {
  std::string format;
  try {
    for (const Setting& setting : read_settings(command)) {
      if (setting.name == "output-format") format = setting.value;
      if (setting.name == "ndjson" && read_switch(setting.value)) format = "ndjson";
    }
  } catch (const std::exception&) {  // there is another failure to tell of, or this very one
  }
  return format;
}

// Whether arguments, which may be wrong, ask for answers as JSON.
std::optional<JsonSink::Shows> wanted_json(std::string_view command, const std::vector<std::string>& arguments) {
  std::string format = format_in_settings(command);
  for (auto at = arguments.begin(); at != arguments.end() && *at != "--"; ++at) {
    std::string flag = at->substr(0, at->find('='));
    std::ranges::replace(flag, '_', '-');
    if (flag == "--ndjson") format = "ndjson";
    if (flag == "--output-format" && flag.size() < at->size()) format = at->substr(flag.size() + 1);
    const bool stands_alone = *at == "-o" || (flag == "--output-format" && flag.size() == at->size());
    if (stands_alone && at + 1 != arguments.end()) format = *(at + 1);
    if (at->starts_with("-o") && at->size() > 2) format = at->substr(2);
  }
  if (format == "json") return JsonSink::Shows::the_end;
  return format == "ndjson" ? std::optional(JsonSink::Shows::everything) : std::nullopt;
}

// Whoever asked for JSON gets the failure to read the arguments in it, too.
void tell_as_event(std::string_view command, const std::vector<std::string>& arguments,
                   const std::exception_ptr& failure) {
  const auto shows = wanted_json(command, arguments);
  if (!shows) return;
  Output output;
  JsonSink(output, *shows, {}).on(describe(failure, Phase::usage));
}

int dispatch(std::vector<std::string> arguments, Interrupt& interrupt, Stopwatch start) {
  if (arguments.empty() && stdin_is_terminal()) {
    say(overview());
    return kExitUsage;
  }
  const std::vector<std::string> all = arguments;
  const CommandRow* row = find_command("run");
  std::optional<CommandLine> parsed;
  Call call{{}, interrupt, start};
  try {
    row = &take_command(arguments);
    call.words = parsed.emplace(*row).parse(arguments);
  } catch (const std::exception&) {
    if (row->talks) tell_as_event(row->name, all, std::current_exception());
    throw;
  }
  const CommandLine& line = *parsed;
  if (line.asked() == Asked::version) return CommandLine(*find_command("version")).command()(call);
  if (line.asked() != Asked::work) {
    print(line.help(line.asked() == Asked::all_help));
    return kExitDone;
  }
  if (line.asks_for_isas()) {
    for (const std::string_view isa : usable_isas()) print(std::string(isa) + "\n");
    return kExitDone;
  }
  return line.command()(call);
}

int dispatch_or_explain(std::vector<std::string> arguments, Stopwatch start) {
  try {
    Interrupt interrupt;
    return dispatch(std::move(arguments), interrupt, start);
  } catch (const OutputClosed&) {
    return kExitOutputClosed;
  } catch (const std::exception&) {
    const ErrorEvent error = describe(std::current_exception(), Phase::usage);
    log_error(error.message, error.hint);
    return error.exit_code;
  }
}

}  // namespace

std::span<const CommandRow> commands() { return kCommands; }

}  // namespace carat

int main(int argc, char** argv) {
  using namespace carat;
  const Stopwatch start;
  occupy_standard_descriptors();
  std::set_terminate(end_unhandled);
  std::signal(SIGPIPE, SIG_IGN);  // a write to nobody fails instead
  std::signal(SIGXFSZ, SIG_IGN);  // and one beyond the limit of a file's size
  try {
    start_log();
    return dispatch_or_explain({argv + 1, argv + argc}, start);
  } catch (const std::bad_alloc&) {  // not even for an explanation
    say_plainly("carat: error: not enough memory\n");
    return kExitResource;
  }
}
