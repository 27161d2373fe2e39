#include "app/thoughts.h"

#include <algorithm>
#include <utility>

namespace carat {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>";
constexpr std::string_view kWhite = " \t\r\n";

void drop_leading_white(std::string& text) { text.erase(0, std::min(text.find_first_not_of(kWhite), text.size())); }

// Where the end of `text` that may be white space and the beginning of the closing mark begins.
std::size_t end_of_certain_thought(const std::string& text) {
  std::size_t end = text.size();
  for (std::size_t length = std::min(kClose.size() - 1, text.size()); length > 0; --length) {
    if (!text.ends_with(kClose.substr(0, length))) continue;
    end -= length;
    break;
  }
  const std::size_t last = end == 0 ? std::string::npos : text.find_last_not_of(kWhite, end - 1);
  return last == std::string::npos ? 0 : last + 1;
}

}  // namespace

ThoughtSplitter::ThoughtSplitter(Thoughts thoughts)
    : state_(thoughts == Thoughts::none     ? State::answering
             : thoughts == Thoughts::marked ? State::beginning
                                            : State::thinking) {}

// One step of what is held back; false when more text is needed.
bool ThoughtSplitter::advance(std::vector<Part>& parts) {
  switch (state_) {
    case State::beginning: {
      const std::size_t first = held_back_.find_first_not_of(kWhite);
      const std::string_view rest =
          first == std::string::npos ? std::string_view() : std::string_view(held_back_).substr(first);
      if (rest.size() < kOpen.size() && kOpen.starts_with(rest)) return false;
      state_ = rest.starts_with(kOpen) ? State::thinking : State::answering;
      if (state_ == State::thinking) held_back_.erase(0, first + kOpen.size());
      return true;
    }
    case State::thinking: {
      if (at_start_) drop_leading_white(held_back_);
      const std::size_t close = held_back_.find(kClose);
      std::string thought = held_back_.substr(0, close);
      if (close != std::string::npos) {
        thought.erase(thought.find_last_not_of(kWhite) + 1);
        held_back_.erase(0, close + kClose.size());
        state_ = State::between;
      } else {
        thought.resize(end_of_certain_thought(thought));
        held_back_.erase(0, thought.size());
      }
      if (!thought.empty()) at_start_ = false;
      if (!thought.empty()) parts.push_back({Channel::reasoning, std::move(thought)});
      return state_ == State::between;
    }
    case State::between:
      drop_leading_white(held_back_);
      if (held_back_.empty()) return false;
      state_ = State::answering;
      return true;
    case State::answering:
      break;
  }
  if (!held_back_.empty()) parts.push_back({Channel::answer, std::exchange(held_back_, {})});
  return false;
}

std::vector<ThoughtSplitter::Part> ThoughtSplitter::push(std::string_view text) {
  held_back_ += text;
  std::vector<Part> parts;
  while (advance(parts)) {
  }
  return parts;
}

std::vector<ThoughtSplitter::Part> ThoughtSplitter::flush() {
  std::string rest = std::exchange(held_back_, {});
  if (rest.empty()) return {};
  if (state_ == State::thinking) rest.erase(rest.find_last_not_of(kWhite) + 1);
  if (rest.empty()) return {};
  return {{state_ == State::thinking ? Channel::reasoning : Channel::answer, std::move(rest)}};
}

}  // namespace carat
