// What the user asks, put together from flags, arguments, files and standard input.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/event.h"
#include "app/open_model.h"

namespace CLI {
class App;
}

namespace carat {

// The turns around the user's words.
struct FrameFlags {
  std::string system, system_file, name;

  void add_to(CLI::App&);
  bool empty() const { return system.empty() && system_file.empty() && name.empty(); }

  // Empty if there is none. Throws BadUsage.
  std::string system_text() const;
  // The frame of that name, that of a template file ("@FILE"), or the model's own, perhaps with a warning.
  // Throws BadUsage.
  ChatFrame choose(const OpenModel& model, std::vector<Warning>& warnings) const;
  // The same; logs the warnings.
  ChatFrame choose(const OpenModel& model) const;
};

struct PromptFlags {
  std::vector<std::string> prompts, files;
  std::optional<bool> uses_stdin;  // none: if it is a pipe or a file
  bool escape = false;             // "\n" in an argument is a line feed

  void add_to(CLI::App&);
  // Those of a text that is given before anything is read. `what` it is goes into the help.
  void add_given_to(CLI::App&, const std::string& what = "the prompt");

  // The files and -p. None: there is neither.
  std::optional<std::string> given() const;

  // The parts there are, an empty line between them: standard input, the files, -p (each a line), `words` (spaces
  // between, and "-" is where standard input goes). The last line end of a file is dropped. None: there is no prompt at
  // all. Throws BadUsage if it is not a text.
  std::optional<std::string> text(const std::vector<std::string>& words) const;

  bool names_stdin() const;  // as a file

 private:
  void add_given(std::vector<std::string>& parts) const;
  bool reads_stdin(const std::vector<std::string>& words) const;
};

}  // namespace carat
