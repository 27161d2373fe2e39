// Texts that come in: files, standard input, lines typed at a terminal.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace carat {

// All of a file; "-" is standard input. Throws BadUsage if it cannot be read, or is longer than any text.
std::string read_text(const std::string& path);
// What messages call it.
std::string source_name(const std::string& path);

// All of standard input. `notes_waiting`: says so when nothing comes for two seconds.
std::string read_stdin(bool notes_waiting);

bool stdin_is_terminal();
bool stdin_is_redirected();  // from a pipe or a file, so that somebody meant it to be read

// A text for a model is UTF-8 without NUL. Throws BadUsage that names `source` and the offset.
void check_text(std::string_view text, std::string_view source);

// Lines of standard input, which is a terminal.
class LineInput {
 public:
  enum class Event { line, end, interrupted };

  // Waits until a line is there, the input ends or `interrupt`, a descriptor, becomes readable. A terminal that goes
  // away interrupts.
  Event next(std::string& line, int interrupt);

 private:
  const bool is_terminal_ = stdin_is_terminal();
  std::string pending_;
};

}  // namespace carat
