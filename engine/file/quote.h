// Text out of a file, made fit for one line on a terminal.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace carat {

// 'text': control characters, quotes and broken UTF-8 are escaped; what goes beyond `max_bytes` becomes "…".
std::string quote(std::string_view text, std::size_t max_bytes = 80);

// As it is if that is harmless, else quoted, whole.
std::string printable(std::string_view text);

}  // namespace carat
