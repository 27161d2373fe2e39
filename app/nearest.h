// What somebody who misspelt a name may have meant.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace carat {

// The name with the fewest letters to change, add, drop or swap with their neighbour (Damerau, 1964); empty if none is
// near.
std::string nearest(std::string_view word, std::span<const std::string> names);

// "did you mean 'NAME'?", or nothing.
std::string suggestion(std::string_view word, std::span<const std::string> names);

}  // namespace carat
