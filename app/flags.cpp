#include "app/flags.h"

#include <charconv>
#include <limits>
#include <sstream>

namespace carat {
namespace {

template <class T>
std::string refusal(const std::string& input, const char* kind, T min, T max) {
  std::ostringstream text;
  text << "'" << input << "' is not " << kind << " from " << min << " to " << max;
  return text.str();
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && at == end ? std::optional(value) : std::nullopt;
}

CLI::Validator integer_between(std::int64_t min, std::int64_t max) {
  return CLI::Validator(
      [=](std::string& input) {
        const std::optional<std::int64_t> value = parse_integer(input);
        if (!value || *value < min || *value > max) return refusal(input, "a whole number", min, max);
        input = std::to_string(*value);  // CLI11 reads it as C does, where "010" is 8
        return std::string();
      },
      "");
}

CLI::Validator real_between(double min, double max) {
  return CLI::Validator(
      [=](std::string& input) {
        double value = 0;
        const bool fits = CLI::detail::lexical_cast(input, value) && min <= value && value <= max;
        return fits ? std::string() : refusal(input, "a number", min, max);
      },
      "");
}

CLI::Validator one_of(std::vector<std::string> names) {
  std::string described = CLI::detail::join(names, " ");
  return CLI::Validator(
      [names = std::move(names)](std::string& input) {
        for (const std::string& name : names)
          if (input == name) return std::string();
        return "'" + input + "' is none of " + CLI::detail::join(names, ", ");
      },
      std::move(described), kOneOf);
}

CLI::Validator one_of_or_count(std::vector<std::string> names) {
  const CLI::Validator name = one_of(names), count = integer_between(0, std::numeric_limits<std::int32_t>::max());
  return CLI::Validator(
      [name, count](std::string& input) {
        const std::string refused = name(input);
        return refused.empty() || count(input).empty() ? std::string() : refused + " and no number";
      },
      CLI::detail::join(names, " "), kOneOf);
}

CLI::Option* add_text(CLI::App& app, const std::string& names, std::string& target, const std::string& value_name,
                      const std::string& what) {
  return app.add_option(names, target, what)->type_name(value_name);
}

CLI::Option* add_texts(CLI::App& app, const std::string& names, std::vector<std::string>& target,
                       const std::string& value_name, const std::string& what) {
  const auto take = [&target](const CLI::results_t& results) {
    target = results;
    return true;
  };
  return app.add_option(names, take, what)->type_name(value_name)->allow_extra_args(false)->take_all();
}

bool read_switch(const std::string& text) {
  for (const char* const on : {"on", "true", "1", "yes"})
    if (text == on) return true;
  for (const char* const off : {"off", "false", "0", "no"})
    if (text == off) return false;
  throw CLI::ValidationError("'" + text + "' is neither 'on' nor 'off'");
}

}  // namespace carat
