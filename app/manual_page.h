// The manual page, out of the same tables as the help.
#pragma once
#include <string>

namespace carat {

// In the language of man(7).
std::string manual_page();

}  // namespace carat
