// Lengths of time as people write them: "30", "500ms", "2m", "1.5h".
#pragma once
#include <chrono>
#include <optional>
#include <string_view>

namespace carat {

// Seconds where there is no unit. None for anything that is not a length of time of at most a year.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace carat
