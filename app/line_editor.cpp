#include "app/line_editor.h"

#include <unistd.h>

#include "app/history.h"
#include "app/libedit_line.h"
#include "app/log.h"
#include "app/output.h"
#include "app/terminal.h"
#include "app/text_input.h"
#include "app/typed_text.h"

namespace carat {

// Lines as the terminal gives them.
class LineEditor::Plain {
 public:
  explicit Plain(LineEditorOptions options) : options_(std::move(options)), history_(options_.history) {}

  Event read(std::string& text) {
    text.clear();
    for (bool begins = true;; begins = false) {
      show(begins ? options_.prompt : "... ");
      std::string line;
      switch (input_.next(line, options_.interrupt)) {
        case LineInput::Event::end:
          if (text.empty()) return Event::end;
          return Event::line;
        case LineInput::Event::interrupted:
          return Event::interrupted;
        case LineInput::Event::line:
          text += line;
      }
      const bool goes_on = take_continuation(text) || opens_block(text);
      if (!goes_on) break;
      text += '\n';
    }
    history_.add(text);
    return Event::line;
  }

 private:
  void show(std::string_view prompt) const {
    if (options_.prompt.empty()) return;
    if (options_.on_stderr) {
      say_inline(prompt);
    } else {
      print(prompt);
    }
  }

  LineEditorOptions options_;
  History history_;
  LineInput input_;
};

LineEditor::LineEditor(LineEditorOptions options) {
  const bool is_shown = isatty(options.on_stderr ? STDERR_FILENO : STDOUT_FILENO) == 1;
  if (is_shown && !terminal_is_dumb() && !options.prompt.empty()) {
    rich_ = std::make_unique<LibeditLine>(std::move(options));
  } else {
    plain_ = std::make_unique<Plain>(std::move(options));
  }
}

LineEditor::~LineEditor() = default;

LineEditor::Event LineEditor::read(std::string& text) { return rich_ ? rich_->read(text) : plain_->read(text); }

bool LineEditor::can_prefill() const { return rich_ != nullptr; }

}  // namespace carat
