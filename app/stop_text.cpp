#include "app/stop_text.h"

#include <algorithm>
#include <utility>

namespace carat {

std::string StopText::push(std::string_view piece) {
  if (found_) return {};
  held_back_ += piece;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_back_.find(stop);
    if (at >= first) continue;
    first = at;
    text_ = stop;
  }
  if (first != std::string::npos) {
    found_ = true;
    held_back_.resize(first);
    return std::exchange(held_back_, {});
  }

  std::size_t tail = 0;  // bytes at the end that may begin a stop text
  for (const std::string& stop : stops_) {
    for (std::size_t length = std::min(stop.size() - 1, held_back_.size()); length > tail; --length) {
      if (held_back_.ends_with(std::string_view(stop).substr(0, length))) tail = length;
    }
  }
  std::string shown = held_back_.substr(0, held_back_.size() - tail);
  held_back_.erase(0, shown.size());
  return shown;
}

std::string StopText::flush() { return std::exchange(held_back_, {}); }

}  // namespace carat
