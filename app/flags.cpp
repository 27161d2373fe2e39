#include "app/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>

#include "app/failure.h"

namespace carat {
namespace {

// CLI11 reads a whole number as C does, where "010" is 8 and "99999999999999999999" the largest there is.
bool read_number(const std::string& text, std::int64_t& value) {
  const std::optional<std::int64_t> whole = parse_integer(text);
  value = whole.value_or(0);
  return whole.has_value();
}
bool read_number(const std::string& text, double& value) { return CLI::detail::lexical_cast(text, value); }

template <class T>
ValueCheck between(T min, T max, const char* kind) {
  return {[=](std::string& input) {
    T value{};
    if (read_number(input, value) && min <= value && value <= max) return std::string();
    std::ostringstream text;
    text << "'" << input << "' is not " << kind << " from " << min << " to " << max;
    return text.str();
  }};
}

ValueCheck integer_between(std::int64_t min, std::int64_t max) { return between(min, max, "a whole number"); }

// `take` of the text as a number, which its check has seen to be one.
template <class T>
auto as_number(std::function<void(T)> take) {
  return [take = std::move(take)](const std::string& text) {
    T value{};
    read_number(text, value);
    take(value);
  };
}

std::optional<bool> switch_value(const std::string& text) {
  for (const char* const on : {"on", "true", "1", "yes"})
    if (text == on) return true;
  for (const char* const off : {"off", "false", "0", "no"})
    if (text == off) return false;
  return std::nullopt;
}

std::string no_switch(const std::string& text) { return "'" + text + "' is neither 'on' nor 'off'"; }

// What a flag was given, to the byte: the list that CLI11 hands to callbacks has a "%%" more behind a "{}".
const CLI::results_t& given(const CLI::App& app, const std::string& names) {
  return app.get_option(names.substr(names.rfind(',') + 1))->results();
}

CLI::Validator validator(const ValueCheck& check) {
  return {check.refusal, CLI::detail::join(check.choices, " "), check.choices.empty() ? "" : kOneOf};
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && at == end ? std::optional(value) : std::nullopt;
}

ValueCheck one_of(std::vector<std::string> names) {
  const auto refusal = [names](std::string& input) {
    if (std::ranges::find(names, input) != names.end()) return std::string();
    return "'" + input + "' is none of " + CLI::detail::join(names, ", ");
  };
  return {refusal, std::move(names)};
}

ValueCheck one_of_or_count(std::vector<std::string> names) {
  const ValueCheck name = one_of(names), count = integer_between(0, std::numeric_limits<std::int32_t>::max());
  const auto refusal = [name, count](std::string& input) {
    const std::string refused = name.refusal(input);
    return refused.empty() || count.refusal(input).empty() ? std::string() : refused + " and no number";
  };
  return {refusal, std::move(names)};
}

Flag* Flag::group(const std::string& name) {
  option_.group(name);
  return this;
}

Flag* Flag::envname(const std::string& variable) {
  option_.envname(variable);
  return this;
}

Flag* Flag::check(const ValueCheck& check) {
  option_.check(validator(check));
  return this;
}

Flag* Flag::check_first(const ValueCheck& check) {
  option_.transform(validator(check));
  return this;
}

Flag add_value(CLI::App& app, const std::string& names, std::function<void(const std::string&)> take,
               const std::string& value_name, const std::string& what) {
  const auto take_last = [&app, names, take = std::move(take)](const CLI::results_t&) {
    take(given(app, names).back());
    return true;
  };
  return Flag(*app.add_option(names, take_last, what)->type_name(value_name));
}

Flag add_text(CLI::App& app, const std::string& names, std::string& target, const std::string& value_name,
              const std::string& what) {
  return add_value(
      app, names, [&target](const std::string& text) { target = text; }, value_name, what);
}

Flag add_texts(CLI::App& app, const std::string& names, std::vector<std::string>& target, const std::string& value_name,
               const std::string& what) {
  const auto take = [&app, names, &target](const CLI::results_t&) {
    target = given(app, names);
    return true;
  };
  return Flag(*app.add_option(names, take, what)->type_name(value_name)->allow_extra_args(false)->take_all());
}

Flag add_integer_value(CLI::App& app, const std::string& names, std::function<void(std::int64_t)> take,
                       std::int64_t min, std::int64_t max, const std::string& what) {
  Flag flag = add_value(app, names, as_number(std::move(take)), "N", what);
  flag.check(integer_between(min, max));
  return flag;
}

Flag add_real_value(CLI::App& app, const std::string& names, std::function<void(double)> take, double min, double max,
                    const std::string& what) {
  Flag flag = add_value(app, names, as_number(std::move(take)), "X", what);
  flag.check(between(min, max, "a number"));  // never NaN
  return flag;
}

Flag add_switch_value(CLI::App& app, const std::string& names, std::function<void(bool)> take,
                      const std::string& what) {
  const std::string long_name = names.substr(names.rfind("--") + 2);
  const auto each = [take = std::move(take)](const std::string& text) {
    const std::optional<bool> value = switch_value(text);
    if (!value) throw CLI::ValidationError(no_switch(text));
    take(*value);
  };
  return Flag(*app.add_flag(names + ",!--no-" + long_name, what)->each(each));
}

Flag add_counter(CLI::App& app, const std::string& names, int& target, const std::string& what) {
  return Flag(*app.add_flag(names, target, what));
}

Flag add_action(CLI::App& app, const std::string& name, std::function<void()> act, const std::string& what) {
  return Flag(*app.add_flag_callback(name, std::move(act), what));
}

bool read_switch(const std::string& text) {
  const std::optional<bool> value = switch_value(text);
  if (!value) throw BadUsage(no_switch(text));
  return *value;
}

FlagParser::FlagParser() : app_(std::make_unique<CLI::App>()) {
  app_->set_help_flag();
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

FlagParser::~FlagParser() = default;

std::vector<std::string> FlagParser::names() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : std::as_const(*app_).get_options()) names.push_back(option->get_lnames().front());
  return names;
}

bool FlagParser::has(const std::string& flag) const { return app_->get_option_no_throw(flag) != nullptr; }

bool FlagParser::takes_value(const std::string& flag) const {
  return app_->get_option(flag)->get_items_expected_min() > 0;
}

void FlagParser::parse(std::vector<std::string> arguments) {
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    app_->parse(std::move(arguments));
  } catch (const CLI::ParseError& e) {
    throw BadUsage(e.what());
  }
}

}  // namespace carat
