// Tells a model's thoughts from its answer: "<think>…</think>" at the beginning of a reply.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "app/event.h"

namespace carat {

// How thoughts are ended for a model.
inline constexpr std::string_view kThoughtsEnd = "\n</think>\n\n";

// Where a reply may begin with thoughts.
enum class Thoughts : std::uint8_t {
  none,    // nowhere: all of it is the answer
  marked,  // if it begins with the mark
  open,    // the prompt has opened them
};

// Takes a text in pieces that may break the marks anywhere. The marks, and the white space around thoughts, belong to
// neither channel.
class ThoughtSplitter {
 public:
  struct Part {
    Channel channel;
    std::string text;
  };

  explicit ThoughtSplitter(Thoughts thoughts);

  std::vector<Part> push(std::string_view text);
  std::vector<Part> flush();  // when no more comes

  bool thinking() const { return state_ == State::thinking; }

 private:
  enum class State : std::uint8_t { beginning, thinking, between, answering };

  bool advance(std::vector<Part>& parts);

  State state_;
  bool at_start_ = true;   // of the thoughts: white space is dropped
  std::string held_back_;  // what may be the beginning of a mark, or white space before one
};

}  // namespace carat
