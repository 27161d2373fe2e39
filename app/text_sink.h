// The answer as plain text on standard output; thoughts where they are wanted, warnings and figures on standard error.
#pragma once
#include <optional>

#include "app/output.h"
#include "app/sink.h"

namespace carat {

struct TextSinkOptions {
  enum class Thoughts { hidden, on_stderr, on_stdout };

  bool final_newline = true;    // end with one, if the answer does not and is not empty
  bool shows_controls = false;  // show control characters as pictures, lest a model's text drives the terminal
  bool stats = false;
  bool progress = false;  // a line on standard error that is gone when the answer begins
  Thoughts thoughts = Thoughts::hidden;
  bool dims_thoughts = false;  // on a terminal that knows how
};

class TextSink : public Sink {
 public:
  explicit TextSink(const TextSinkOptions& options) : options_(options) {}
  void on(const Event& event) override;

 private:
  void show(const Delta& delta);
  void show_thought(const std::string& text);
  void end_thoughts();
  void write(std::string_view text);
  std::string shown(std::string_view text) const;  // as it goes to standard output
  void show(const Progress& progress);
  void clear_progress();
  void end_early();
  void finish(const Result& result);

  TextSinkOptions options_;
  Output output_;
  char last_ = '\n';          // byte of the answer
  char last_thought_ = '\n';  // of the thoughts
  bool thinking_ = false, shows_progress_ = false;
};

}  // namespace carat
