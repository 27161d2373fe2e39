// Numbers as a person would have written them.
#pragma once
#include <charconv>

namespace carat {

// The shortest number that reads back as the same float: 0.95, not 0.949999988.
inline double tidy(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double number = 0;
  std::from_chars(text, end, number);
  return number;
}

}  // namespace carat
