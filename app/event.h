// What happens while an answer is written, as data.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace carat {

// The prompt is in the model.
struct PromptRead {
  std::size_t tokens;
  double seconds;
};

// More of the answer: whole code points.
struct Piece {
  std::string text;
};

enum class FinishReason : std::uint8_t {
  stop,         // the model said it is done, or wrote a stop text
  length,       // as many tokens as were asked for
  context,      // no room for another
  interrupted,  // by a signal
  constraint,   // no token goes on as the constraint asks
};

// The end of an answer; always the last event.
struct Finished {
  FinishReason reason;
  std::size_t tokens;  // written
  double seconds;      // of writing
};

using Event = std::variant<PromptRead, Piece, Finished>;

}  // namespace carat
