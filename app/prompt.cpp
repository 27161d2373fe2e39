#include "app/prompt.h"

#include <algorithm>

#include "app/failure.h"
#include "app/flags.h"
#include "app/log.h"
#include "app/text_input.h"

namespace carat {
namespace {

constexpr const char* kStdin = "-";  // in place of a file or of a word

// Checked, and without the last line end, which belongs to the file rather than to what it says.
std::string checked_text(std::string text, const std::string& source) {
  check_text(text, source);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string checked_stdin(bool notes_waiting) { return checked_text(read_stdin(notes_waiting), source_name(kStdin)); }

std::string checked_file(const std::string& path) { return checked_text(read_text(path), source_name(path)); }

// The words of one part after another, with standard input as a part of its own where "-" stands.
void add_words(const std::vector<std::string>& words, std::vector<std::string>& parts) {
  bool goes_on = false;
  for (const std::string& word : words) {
    if (word == kStdin) {
      parts.push_back(checked_stdin(false));
      goes_on = false;
      continue;
    }
    check_text(word, "the prompt");
    if (goes_on) {
      parts.back().append(" ").append(word);
    } else {
      parts.push_back(word);
    }
    goes_on = true;
  }
}

}  // namespace

void FrameFlags::add_to(CLI::App& app) {
  add_text(app, "--system,--system-prompt", system, "TEXT", "what the model is told before the conversation");
  add_text(app, "--system-file", system_file, "FILE", "the same, from a file")->group(kMore);
  std::string names;
  for (const std::string_view frame : ChatFrame::names()) names += (names.empty() ? "" : ", ") + std::string(frame);
  add_text(app, "--template", name, "NAME", "turns as of another model: " + names)->group(kMore);
}

std::string FrameFlags::system_text() const {
  if (!system.empty() && !system_file.empty()) throw BadUsage("--system and --system-file: one of them");
  if (!system_file.empty()) return checked_file(system_file);
  check_text(system, "--system");
  return system;
}

ChatFrame FrameFlags::choose(const OpenModel& model) const {
  if (name.empty()) {
    if (model.frame.basis == ChatFrame::Choice::Basis::none && !chat_template(model.files.file).empty()) {
      log_note("the model's chat template is not one of those known: texts go in as they are (see --template)");
    }
    return model.frame.frame;
  }
  if (auto frame = ChatFrame::by_name(name, chat_template(model.files.file))) return *frame;
  std::string names;
  for (const std::string_view known : ChatFrame::names()) names += (names.empty() ? "" : ", ") + std::string(known);
  throw BadUsage("--template: '" + name + "' is not known", "known are " + names);
}

void PromptFlags::add_to(CLI::App& app) {
  add_texts(app, "-p,--prompt", prompts, "TEXT", "the prompt; given again, another line of it");
  add_text(app, "-f,--file,--prompt-file", file, "FILE", "the prompt, from a file; '-' is standard input");
  add_switch(app, "--stdin", uses_stdin, "read standard input before the prompt (default: if it is a pipe or a file)")
      ->group(kMore);
}

// Whether standard input comes first, because nothing says where else it goes.
bool PromptFlags::reads_stdin(const std::vector<std::string>& words) const {
  const bool is_placed = file == kStdin || std::ranges::find(words, kStdin) != words.end();
  return !is_placed && uses_stdin.value_or(stdin_is_redirected());
}

std::string PromptFlags::text(const std::vector<std::string>& words) const {
  const bool has_prompt = !prompts.empty() || !file.empty() || !words.empty();
  std::vector<std::string> parts;
  if (reads_stdin(words)) {
    std::string text = checked_stdin(has_prompt);
    if (!text.empty()) parts.push_back(std::move(text));
  }
  if (!file.empty()) parts.push_back(checked_file(file));
  for (const std::string& prompt : prompts) check_text(prompt, "--prompt");
  if (!prompts.empty()) parts.push_back(CLI::detail::join(prompts, "\n"));
  add_words(words, parts);
  if (parts.empty()) {
    throw BadUsage("no prompt", stdin_is_terminal() ? "give one with -p, or talk to the model with 'carat chat'"
                                                    : "give one with -p, -f or on standard input");
  }
  return CLI::detail::join(parts, "\n\n");
}

}  // namespace carat
