// A conversation in a file: one message a line, as JSON, for any program to read.
#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_frame.h"

namespace carat {

// A question, and what the model made of it. One of the two may be missing in a file that another program wrote.
struct Turn {
  std::string question;
  std::optional<std::string> answer;
  std::optional<std::string> reasoning;  // the thoughts before the answer: kept, but not said again
};

struct Transcript {
  std::string system;
  std::vector<Turn> turns;

  bool empty() const { return system.empty() && turns.empty(); }

  // What a template is filled with: the system text and the turns from the `first` on.
  std::vector<Message> messages(std::size_t first = 0) const;
};

// {"role":"system"|"user"|"assistant","content":"…"} a line; thoughts are a "reasoning" beside the content.
std::string to_jsonl(const Transcript& transcript);

// Such lines, or one JSON array of such messages. `source` is what failures name. Throws BadUsage.
Transcript parse_transcript(std::string_view text, const std::string& source);

// Puts a file that only its owner can read in the place of `path`, whole or not at all. Throws Error.
void write_private(const std::filesystem::path& path, std::string_view text);

}  // namespace carat
