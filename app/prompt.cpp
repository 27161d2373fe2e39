#include "app/prompt.h"

#include <algorithm>
#include <charconv>

#include "app/failure.h"
#include "app/flags.h"
#include "app/join.h"
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

// "\n" is a line feed, "\t" a tab, "\\" a backslash, "\x41" a byte; any other backslash is one.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    const std::size_t known = std::string_view("nrt\\\"'").find(next);
    unsigned byte = 0;
    if (next == 'x' && i + 3 < text.size() &&
        std::from_chars(&text[i + 2], &text[i + 4], byte, 16).ptr == &text[i + 4]) {
      out += static_cast<char>(byte);
      i += 3;
    } else if (next != '\0' && known != std::string_view::npos) {
      out += "\n\r\t\\\"'"[known];
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The words of one part after another, with standard input as a part of its own where "-" stands.
void add_words(const std::vector<std::string>& words, bool escape, std::vector<std::string>& parts) {
  bool goes_on = false;
  for (const std::string& given : words) {
    if (given == kStdin) {
      if (std::string text = checked_stdin(false); !text.empty()) parts.push_back(std::move(text));
      goes_on = false;
      continue;
    }
    const std::string word = escape ? unescaped(given) : given;
    check_text(word, "the prompt");
    if (goes_on) {
      parts.back().append(" ").append(word);
    } else {
      parts.push_back(word);
    }
    goes_on = true;
  }
}

// With an empty line between; empty parts are none. None at all: nothing was given.
std::optional<std::string> joined(std::vector<std::string> parts) {
  if (parts.empty()) return std::nullopt;
  std::erase_if(parts, [](const std::string& part) { return part.empty(); });
  return join(parts, "\n\n");
}

}  // namespace

void FrameFlags::add_to(CLI::App& app) {
  add_text(app, "--system,--system-prompt", system, "TEXT", "what the model is told before the conversation");
  add_text(app, "--system-file", system_file, "FILE", "the same, from a file")->group(kMore);
  std::string names;
  for (const std::string_view frame : ChatFrame::names()) names += (names.empty() ? "" : ", ") + std::string(frame);
  add_text(app, "--template", name, "NAME", "turns as of another model: " + names + "; or as in a template: @FILE")
      ->group(kMore);
}

std::string FrameFlags::system_text() const {
  if (!system.empty() && !system_file.empty()) throw BadUsage("--system and --system-file: one of them");
  if (!system_file.empty()) return checked_file(system_file);
  check_text(system, "--system");
  return system;
}

ChatFrame FrameFlags::choose(const OpenModel& model) const {
  std::vector<Warning> warnings;
  const ChatFrame frame = choose(model, warnings);
  for (const Warning& warning : warnings) log_note(warning.message);
  return frame;
}

ChatFrame FrameFlags::choose(const OpenModel& model, std::vector<Warning>& warnings) const {
  if (name.empty()) {
    if (model.frame.basis == ChatFrame::Choice::Basis::none && !chat_template(model.files.file).empty()) {
      warnings.push_back(
          {"unknown_template",
           "the model's chat template is not one of those known: texts go in as they are (see --template)"});
    }
    return model.frame.frame;
  }
  if (name.starts_with('@')) {
    const std::string text = checked_file(name.substr(1));
    const auto choice = ChatFrame::choose(text, model.model.config.architecture, *model.tokenizer);
    if (choice.basis == ChatFrame::Choice::Basis::chat_template) return choice.frame;
    throw BadUsage("--template: " + name.substr(1) + ": this template is not one of those known");
  }
  if (auto frame = ChatFrame::by_name(name, chat_template(model.files.file))) return *frame;
  std::string names;
  for (const std::string_view known : ChatFrame::names()) names += (names.empty() ? "" : ", ") + std::string(known);
  throw BadUsage("--template: '" + name + "' is not known", "known are " + names);
}

void PromptFlags::add_to(CLI::App& app) {
  add_given_to(app);
  add_switch(app, "--stdin", uses_stdin, "read standard input before the prompt (default: if it is a pipe or a file)")
      ->group(kMore);
}

void PromptFlags::add_given_to(CLI::App& app, const std::string& what) {
  add_texts(app, "-p,--prompt", prompts, "TEXT", what + "; given again, another line of it");
  add_texts(app, "-f,--file,--prompt-file", files, "FILE", what + ", from a file; '-' is standard input; repeatable");
  add_switch(app, "--escape", escape, "in -p and words, read \\n, \\t, \\\\ and \\xHH as what they mean")->group(kMore);
}

bool PromptFlags::names_stdin() const { return std::ranges::find(files, kStdin) != files.end(); }

// Whether standard input comes first, because nothing says where else it goes.
bool PromptFlags::reads_stdin(const std::vector<std::string>& words) const {
  const bool is_placed = names_stdin() || std::ranges::find(words, kStdin) != words.end();
  return !is_placed && uses_stdin.value_or(stdin_is_redirected());
}

void PromptFlags::add_given(std::vector<std::string>& parts) const {
  for (const std::string& file : files) {
    if (file.empty()) continue;  // of a variable that is not set
    std::string text = checked_file(file);
    if (file != kStdin || !text.empty()) parts.push_back(std::move(text));
  }
  if (prompts.empty()) return;
  std::string text = join(prompts, "\n");
  if (escape) text = unescaped(text);
  check_text(text, "--prompt");
  parts.push_back(std::move(text));
}

std::optional<std::string> PromptFlags::given() const {
  std::vector<std::string> parts;
  add_given(parts);
  return joined(std::move(parts));
}

std::optional<std::string> PromptFlags::text(const std::vector<std::string>& words) const {
  const bool has_prompt = !prompts.empty() || !files.empty() || !words.empty();
  std::vector<std::string> parts;
  if (reads_stdin(words)) {
    std::string text = checked_stdin(has_prompt);
    if (!text.empty()) parts.push_back(std::move(text));
  }
  add_given(parts);
  add_words(words, escape, parts);
  return joined(std::move(parts));
}

}  // namespace carat
