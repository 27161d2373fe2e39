// What somebody who misspelt a name may have meant.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace carat {

// The name with the fewest letters to change, add or drop (Levenshtein, 1966); empty if none is near.
std::string nearest(std::string_view word, std::span<const std::string> names);

// "did you mean 'NAME'?", or nothing.
std::string suggestion(std::string_view word, std::span<const std::string> names);

}  // namespace carat
