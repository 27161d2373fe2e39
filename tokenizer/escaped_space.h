// How SentencePiece writes a space.
#pragma once
#include <string>
#include <string_view>

namespace carat {

inline constexpr std::string_view kEscapedSpace = "\u2581";

std::string escape_spaces(std::string_view text);
std::string unescape_spaces(std::string_view text);

}  // namespace carat
