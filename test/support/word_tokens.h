// Tokens as a vocabulary might have them, without one: a text as a model reads it repeats itself as much as these do.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace carat::test {

// Words and parts of words of up to `longest` bytes, each with the space before it; ids below `vocabulary`.
inline std::vector<std::int32_t> word_tokens(std::string_view text, std::size_t longest, std::size_t vocabulary) {
  std::vector<std::int32_t> ids;
  while (!text.empty()) {
    std::size_t length = 1;
    while (length < std::min(longest, text.size()) && text[length] != ' ' && text[length] != '\n') ++length;
    std::uint64_t hash = 0;
    for (const char c : text.substr(0, length)) hash = (hash + static_cast<unsigned char>(c)) * 0x9E3779B97F4A7C15u;
    ids.push_back(static_cast<std::int32_t>((hash >> 20) % vocabulary));
    text.remove_prefix(length);
  }
  return ids;
}

}  // namespace carat::test
