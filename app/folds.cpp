#include "app/folds.h"

#include <algorithm>

namespace carat {

std::string Folds::fold(std::string_view text) {
  const auto same = std::ranges::find(folds_, text, [](const auto& fold) -> std::string_view { return fold.second; });
  if (same != folds_.end()) return same->first;
  const auto lines = std::ranges::count(text, '\n') + (text.ends_with('\n') ? 0 : 1);
  std::string stand_in = "[#" + std::to_string(folds_.size() + 1) + ": " + std::to_string(lines) +
                         (lines == 1 ? " line, " : " lines, ") + std::to_string(text.size()) + " bytes]";
  folds_.emplace_back(std::move(stand_in), text);
  return folds_.back().first;
}

std::string Folds::unfold(std::string_view text) const {
  std::string whole;
  while (!text.empty()) {
    const auto fold = std::ranges::find_if(folds_, [text](const auto& f) { return text.starts_with(f.first); });
    if (fold != folds_.end()) {
      whole += fold->second;
      text.remove_prefix(fold->first.size());
    } else {
      whole += text.front();
      text.remove_prefix(1);
    }
  }
  return whole;
}

}  // namespace carat
