// Texts, or numbers, in a row.
#pragma once
#include <sstream>
#include <string>
#include <string_view>

namespace carat {

template <class List>
std::string join(const List& list, std::string_view between) {
  std::ostringstream text;
  bool is_first = true;
  for (const auto& item : list) {
    if (!is_first) text << between;
    text << item;
    is_first = false;
  }
  return std::move(text).str();
}

}  // namespace carat
