// What is wrong with a grammar, a regular expression or a schema.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace carat {

// A constraint that cannot be used. The message reads "place: reason", in one line.
class BadConstraint : public std::runtime_error {
 public:
  explicit BadConstraint(std::string message) : std::runtime_error(one_line(std::move(message))) {}

 private:
  // A message may quote what it refuses, line ends and all.
  static std::string one_line(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
    return text;
  }
};

}  // namespace carat
