// Whether to write in colours.
#pragma once
#include <string_view>

namespace carat {

// `when` is always, never or auto (also on, off): on a terminal that can, unless NO_COLOR says no, and anywhere if
// CLICOLOR_FORCE says yes.
bool shows_colour(int descriptor, std::string_view when);

}  // namespace carat
