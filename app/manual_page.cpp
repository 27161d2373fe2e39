#include "app/manual_page.h"

#include <utility>

#include "app/command_line.h"
#include "app/failure.h"

namespace carat {
namespace {

constexpr std::pair<int, const char*> kExitCodes[] = {
    {kExitDone, "the answer is finished"},
    {kExitError, "something went wrong on the way"},
    {kExitUsage, "a flag, an argument or a text is not what it should be"},
    {kExitModel, "the model is missing, corrupt or of a kind that is not supported"},
    {kExitPromptTooLong, "the prompt does not fit the context; nothing was generated"},
    {kExitResource, "memory, threads or a device are missing"},
    {kExitConstraint, "the answer is not what it was held to; what there is was printed"},
    {kExitBatch, "some request of several failed"},
    {kExitTimeout, "the time of --timeout was over; what there is was printed"},
    {kExitOutputClosed, "nobody reads standard output any more"},
};

constexpr std::pair<const char*, const char*> kVariables[] = {
    {"CARAT_MODEL", "the model, where no argument names one"},
    {"CARAT_MODELS", "folders with models that may be called by name, with colons between them"},
    {"CARAT_THREADS", "as --threads"},
    {"CARAT_CTX", "as --ctx-size"},
    {"CARAT_NGL", "as --gpu-layers"},
    {"CARAT_TIMEOUT", "as --timeout"},
    {"CARAT_LOG", "as --log-file"},
    {"CARAT_CONFIG", "the file of settings, in place of $XDG_CONFIG_HOME/carat/config"},
    {"CARAT_NOHISTORY", "if set, what is typed in a chat is not kept"},
    {"VISUAL, EDITOR", "the editor that Ctrl-G and /edit open in a chat"},
    {"NO_COLOR, CLICOLOR_FORCE", "no colours, or colours even where there is no terminal"},
};

// A text of ours in the language of man(7): a dash is a dash, a backslash no command.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '-' || c == '\\') out += '\\';
    out += c == '\\' ? 'e' : c;
  }
  return out;
}

std::string item(std::string_view term, std::string_view what) {
  return ".TP\n\\fB" + escaped(term) + "\\fR\n" + escaped(what) + "\n";
}

}  // namespace

std::string manual_page() {
  std::string page = ".TH CARAT 1 \"\" \"carat " CARAT_VERSION
                     "\"\n.SH NAME\ncarat \\- run language models on the CPU\n.SH SYNOPSIS\n";
  for (const CommandRow& row : commands()) {
    page += ".B carat " + escaped(row.name) + "\n" + escaped(row.arguments) + "\n.br\n";
  }
  page +=
      ".SH DESCRIPTION\nThe answer goes to standard output, and nothing else does. Without a command, it is run. In "
      "long names _ and \\- are the same; \\-\\-name value and \\-\\-name=value, too. A switch takes =on or =off. A "
      "flag "
      "comes before the environment, which comes before the file of settings, whose lines are NAME = VALUE, for the "
      "command of a line [COMMAND] above them or for all.\n";
  for (const CommandRow& row : commands()) {
    page += ".SH CARAT " + escaped(row.name) + "\n" + escaped(row.what) + ".\n";
    for (const FlagInfo& flag : CommandLine(row).flags(true)) page += item(flag.shown, flag.what);
  }
  page += ".SH EXIT STATUS\n";
  for (const auto& [code, what] : kExitCodes) page += item(std::to_string(code), what);
  page += item("128+N", "ended by signal N");
  page += ".SH ENVIRONMENT\n";
  for (const auto& [name, what] : kVariables) page += item(name, what);
  return page;
}

}  // namespace carat
