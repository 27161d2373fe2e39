// Finds the texts that end an answer, in pieces that may break them anywhere.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace carat {

class StopText {
 public:
  // None of `stops` is empty.
  explicit StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // What of the text so far can be shown: all but what may be the beginning of a stop text, and nothing from the
  // first stop text on.
  std::string push(std::string_view piece);

  // What was held back, when no more comes.
  std::string flush();

  bool found() const { return found_; }
  const std::string& text() const { return text_; }  // that was found

 private:
  std::vector<std::string> stops_;
  std::string held_back_;
  bool found_ = false;
  std::string text_;
};

}  // namespace carat
