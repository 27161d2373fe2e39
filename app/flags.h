// The kinds of flags, each with the check of its value. Included by the files that add flags, and no other.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

inline constexpr const char* kMore = "More";  // the group of flags that only --help-all shows
inline constexpr const char* kHidden = "";    // of those that nobody types

inline constexpr const char* kOneOf = "one of";

// A whole number in decimal digits, and nothing else.
std::optional<std::int64_t> parse_integer(std::string_view text);

CLI::Validator integer_between(std::int64_t min, std::int64_t max);
CLI::Validator real_between(double min, double max);  // never NaN
// One of the names, which have no spaces in them. The validator is called kOneOf and described by the names.
CLI::Validator one_of(std::vector<std::string> names);
// The same, or a whole number from 0.
CLI::Validator one_of_or_count(std::vector<std::string> names);

// `target` is a number, or a std::optional of one.
template <class T>
CLI::Option* add_integer(CLI::App& app, const std::string& names, T& target, std::int64_t min, std::int64_t max,
                         const std::string& what) {
  return app.add_option(names, target, what)->type_name("N")->check(integer_between(min, max));
}

template <class T>
CLI::Option* add_real(CLI::App& app, const std::string& names, T& target, double min, double max,
                      const std::string& what) {
  return app.add_option(names, target, what)->type_name("X")->check(real_between(min, max));
}

// A text; given again, the last counts.
CLI::Option* add_text(CLI::App& app, const std::string& names, std::string& target, const std::string& value_name,
                      const std::string& what);

// A text that may be given any number of times. The bytes are taken as they are: CLI11 by itself reads lists into
// "[a,b]" and nothing into "{}".
CLI::Option* add_texts(CLI::App& app, const std::string& names, std::vector<std::string>& target,
                       const std::string& value_name, const std::string& what);

// The value of a switch, "on" or "off". Throws CLI::ValidationError.
bool read_switch(const std::string& text);

// --NAME, --no-NAME, --NAME=on|off. `names` as in "-q,--quiet", the long one last. `target` is a bool, or a
// std::optional of one.
template <class T>
CLI::Option* add_switch(CLI::App& app, const std::string& names, T& target, const std::string& what) {
  const std::string long_name = names.substr(names.rfind("--") + 2);
  return app.add_flag(names + ",!--no-" + long_name, what)->each([&target](const std::string& text) {
    target = read_switch(text);
  });
}

}  // namespace carat
