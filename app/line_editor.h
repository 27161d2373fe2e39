// The line that a person types, edited on the terminal, until it is a message or a command.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

// What Tab offers for the text before the cursor: whole replacements for what lies behind `start`.
struct Completion {
  std::size_t start = 0;  // bytes
  std::vector<std::string> words;
};
using Completer = std::function<Completion(std::string_view text)>;

struct LineEditorOptions {
  std::string prompt;  // empty: lines come from no terminal
  bool coloured = false;
  bool on_stderr = false;         // where it is drawn, if standard output is kept for the answers
  int interrupt = -1;             // a descriptor that is readable once a signal asks to stop
  int redraw = -1;                // an eventfd: the screen has changed, or was left and come back to
  std::filesystem::path history;  // its file; may be empty
  Completer completer;
};

class LibeditLine;

// Emacs keys, history and search are libedit's; pastes, lines that go on, completion and the way to an editor are added
// to it. On a terminal that cannot move its cursor, the terminal's own line editing has to do.
class LineEditor {
 public:
  enum class Event {
    line,
    end,          // Ctrl-D on an empty line, or the terminal has gone
    cancelled,    // Ctrl-C on an empty line
    interrupted,  // LineEditorOptions::interrupt
  };

  explicit LineEditor(LineEditorOptions options);
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;
  ~LineEditor();

  // The next line, with "\n" in it where it has several. `text` is what the line begins with, and what it came to.
  Event read(std::string& text);

  // Whether a line can begin with something.
  bool can_prefill() const;

 private:
  class Plain;
  std::unique_ptr<Plain> plain_;  // one of the two
  std::unique_ptr<LibeditLine> rich_;
};

}  // namespace carat
