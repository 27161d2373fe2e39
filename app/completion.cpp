// carat completion: scripts that complete commands and flags, out of the same tables as the help.
#include <functional>

#include "app/command_line.h"
#include "app/failure.h"
#include "app/join.h"
#include "app/nearest.h"
#include "app/output.h"

namespace carat {
namespace {

constexpr const char* kShells[] = {"bash", "zsh", "fish"};

// In single quotes; both kinds of shell read them the same but for how a quote gets into them.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

bool takes_model(const FlagInfo& flag) { return flag.value.starts_with("MODEL"); }
bool takes_path(const FlagInfo& flag) {
  return flag.value == "FILE" || flag.value == "IN" || flag.value == "OUT" || takes_model(flag);
}

// What completes the value of a flag.
std::string bash_reply(const FlagInfo& flag) {
  if (!takes_path(flag)) return "_carat_add compgen -W " + shell_quoted(join(flag.choices, " ")) + " -- \"$word\"";
  return std::string("_carat_add compgen -f -- \"$word\"") + (takes_model(flag) ? "; _carat_models" : "");
}

std::string bash_script() {
  std::vector<std::string> names;
  std::string flags, values;
  for (const CommandRow& row : commands()) {
    names.emplace_back(row.name);
    std::string all;
    for (const FlagInfo& flag : CommandLine(row).flags(true)) {
      all += join(flag.names, " ") + " ";
      if (flag.value.empty()) continue;
      for (const std::string& name : flag.names)
        values += "    " + std::string(row.name) + ':' + name + ") " + bash_reply(flag) + "; return ;;\n";
    }
    flags += "    " + std::string(row.name) + ") flags=" + shell_quoted(all) + " ;;\n";
  }
  return "# bash completion of carat: source <(carat completion bash)\n"
         "_carat_add() {  # names may have spaces in them\n"
         "  local line\n"
         "  while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(\"$@\")\n"
         "}\n"
         "_carat_models() { _carat_add compgen -W \"$(\"${COMP_WORDS[0]/#\\~/$HOME}\" list --names 2>/dev/null)\" -- "
         "\"$word\"; }\n"
         "_carat() {\n"
         "  COMPREPLY=()\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=run flags= at\n"
         "  local commands=" +
         shell_quoted(join(names, " ")) +
         "\n"
         "  for at in $commands; do [[ ${COMP_WORDS[1]} == \"$at\" ]] && command=$at; done\n"
         "  case $command:$before in\n"
         "    completion:completion) _carat_add compgen -W " +
         shell_quoted(join(std::vector<std::string>(std::begin(kShells), std::end(kShells)), " ")) +
         " -- \"$word\"; return ;;\n"
         "    help:help) _carat_add compgen -W \"$commands\" -- \"$word\"; return ;;\n" +
         values +
         "  esac\n"
         "  case $command in\n" +
         flags +
         "  esac\n"
         "  if [[ $word == -* ]]; then _carat_add compgen -W \"$flags\" -- \"$word\"; return; fi\n"
         "  _carat_add compgen -f -- \"$word\"\n"
         "  if ((COMP_CWORD == 1)); then _carat_add compgen -W \"$commands\" -- \"$word\"; fi\n"
         "  case $command in version | help | completion | list | devices) ;; *) _carat_models ;; esac\n"
         "}\n"
         "complete -o filenames -F _carat carat\n";
}

// Within _arguments, brackets and colons have a meaning.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_script() {
  std::string commands_text, cases;
  for (const CommandRow& row : commands()) {
    commands_text += "    " + shell_quoted(zsh_text(row.name) + ":" + zsh_text(row.what)) + "\n";
    cases += "    " + std::string(row.name) + ")\n      _arguments \\\n";
    for (const FlagInfo& flag : CommandLine(row).flags(true)) {
      std::string action;
      if (!flag.value.empty()) {
        action = ":" + zsh_text(flag.value) + ":" +
                 (takes_path(flag)       ? "_files"
                  : flag.choices.empty() ? " "
                                         : "(" + join(flag.choices, " ") + ")");
      }
      for (const std::string& name : flag.names) {
        cases += "        " + shell_quoted("*" + name + "[" + zsh_text(flag.what) + "]" + action) + " \\\n";
      }
    }
    cases += "        '*:file:_files' ;;\n";
  }
  return "#compdef carat\n"
         "# zsh completion of carat: carat completion zsh >\"${fpath[1]}/_carat\"\n"
         "_carat() {\n"
         "  local -a commands=(\n" +
         commands_text +
         "  )\n"
         "  local command=${words[2]}\n"
         "  if ((CURRENT == 2)); then _describe command commands; _files; return; fi\n"
         "  if ((${commands[(I)$command:*]})); then shift words; ((CURRENT--)); else command=run; fi\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "}\n"
         "_carat \"$@\"\n";
}

std::string fish_script() {
  std::string script = "# fish completion of carat: carat completion fish >~/.config/fish/completions/carat.fish\n";
  std::vector<std::string> names;
  for (const CommandRow& row : commands()) names.emplace_back(row.name);
  for (const CommandRow& row : commands()) {
    script += "complete -c carat -n 'not __fish_seen_subcommand_from " + join(names, " ") + "' -a " +
              std::string(row.name) + " -d " + shell_quoted(row.what) + "\n";
  }
  for (const CommandRow& row : commands()) {
    for (const FlagInfo& flag : CommandLine(row).flags(true)) {
      script += "complete -c carat -n '__fish_seen_subcommand_from " + std::string(row.name) + "'";
      for (const std::string& name : flag.names)
        script +=
            name.starts_with("--") ? " -l " + name.substr(2) : (name.size() == 2 ? " -s " : " -o ") + name.substr(1);
      if (!flag.value.empty()) script += takes_path(flag) ? " -r -F" : " -x";
      if (!flag.choices.empty()) script += " -a " + shell_quoted(join(flag.choices, " "));
      script += " -d " + shell_quoted(flag.what) + "\n";
    }
  }
  return script;
}

}  // namespace

Command add_completion(CLI::App&) {
  return [](Call& call) {
    if (call.words.size() != 1) throw BadUsage("which shell?", "carat completion bash, zsh or fish");
    const std::string& shell = call.words.front();
    if (shell == "bash") {
      print(bash_script());
    } else if (shell == "zsh") {
      print(zsh_script());
    } else if (shell == "fish") {
      print(fish_script());
    } else {
      const std::vector<std::string> shells(std::begin(kShells), std::end(kShells));
      const std::string near = suggestion(shell, shells);
      throw BadUsage("no completion for '" + shell + "'", near.empty() ? "there is one for bash, zsh and fish" : near);
    }
    return kExitDone;
  };
}

}  // namespace carat
