// The formats of strings that a schema may ask for, as patterns.
#pragma once
#include <string>
#include <string_view>

namespace carat {

// The whole string matches it; empty: the format is not known. Each describes a part of what its standard allows, which
// every reader takes: four-digit years from 0001, e-mail addresses without quotes, IPv6 addresses without "::".
std::string format_pattern(std::string_view format);

// "date, time, …"
std::string format_names();

}  // namespace carat
