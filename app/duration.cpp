#include "app/duration.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace carat {

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  constexpr double kYear = 365.0 * 24 * 3600;
  constexpr auto kUnits = std::to_array<std::pair<std::string_view, double>>(
      {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 24 * 3600}});
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, seconds] : kUnits) {
    if (unit != name) continue;
    const double length = number * seconds;
    if (!(length >= 0 && length <= kYear)) return std::nullopt;  // also for what is not a number
    // Rounded up: the least of times is none at all only where it was 0.
    return std::chrono::nanoseconds(static_cast<std::int64_t>(std::ceil(length * 1e9)));
  }
  return std::nullopt;
}

}  // namespace carat
