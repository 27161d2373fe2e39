// The kinds of flags, each with the check of its value. What CLI11 is to them stays in flags.cpp and command_line.cpp:
// to include it takes a compiler six seconds.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace carat {

inline constexpr const char* kMore = "More";  // the group of flags that only --help-all shows
inline constexpr const char* kHidden = "";    // of those that nobody types

inline constexpr const char* kOneOf = "one of";  // what CLI11 knows a check with choices by

// Says why a text is refused, or nothing; may change it. The choices are for help and completion.
struct ValueCheck {
  std::function<std::string(std::string&)> refusal;
  std::vector<std::string> choices = {};
};

ValueCheck one_of(std::vector<std::string> names);
ValueCheck one_of_or_count(std::vector<std::string> names);  // the same, or a whole number from 0

// A flag that was added, to say more of it: add_text(…)->group(kMore)->envname("CARAT_LOG").
class Flag {
 public:
  explicit Flag(CLI::Option& option) : option_(option) {}

  Flag* operator->() { return this; }
  Flag* group(const std::string& name);
  Flag* envname(const std::string& variable);  // where it is looked up if no argument gives it
  Flag* check(const ValueCheck& check);        // after those it has
  Flag* check_first(const ValueCheck& check);  // before those

 private:
  CLI::Option& option_;
};

// A value that `take` is called with, when it has passed its checks. Given again, the last counts.
Flag add_value(CLI::App& app, const std::string& names, std::function<void(const std::string&)> take,
               const std::string& value_name, const std::string& what);

Flag add_text(CLI::App& app, const std::string& names, std::string& target, const std::string& value_name,
              const std::string& what);

// A text that may be given any number of times.
Flag add_texts(CLI::App& app, const std::string& names, std::vector<std::string>& target, const std::string& value_name,
               const std::string& what);

Flag add_integer_value(CLI::App& app, const std::string& names, std::function<void(std::int64_t)> take,
                       std::int64_t min, std::int64_t max, const std::string& what);
Flag add_real_value(CLI::App& app, const std::string& names, std::function<void(double)> take, double min, double max,
                    const std::string& what);

// --NAME, --no-NAME, --NAME=on|off. `names` as in "-q,--quiet", the long one last.
Flag add_switch_value(CLI::App& app, const std::string& names, std::function<void(bool)> take, const std::string& what);

// How often it is given.
Flag add_counter(CLI::App& app, const std::string& names, int& target, const std::string& what);

// Takes no value: `act` is called.
Flag add_action(CLI::App& app, const std::string& name, std::function<void()> act, const std::string& what);

// The value of a switch, "on" or "off". Throws BadUsage.
bool read_switch(const std::string& text);

template <class T>
struct ValueIn {
  using type = T;
};
template <class T>
struct ValueIn<std::optional<T>> {
  using type = T;
};

// A whole number in decimal digits, and nothing else.
std::optional<std::int64_t> parse_integer(std::string_view text);

// `target` is a number, or a std::optional of one.
template <class T>
Flag add_integer(CLI::App& app, const std::string& names, T& target, std::int64_t min, std::int64_t max,
                 const std::string& what) {
  const auto take = [&target](std::int64_t value) { target = static_cast<typename ValueIn<T>::type>(value); };
  return add_integer_value(app, names, take, min, max, what);
}

template <class T>
Flag add_real(CLI::App& app, const std::string& names, T& target, double min, double max, const std::string& what) {
  const auto take = [&target](double value) { target = static_cast<typename ValueIn<T>::type>(value); };
  return add_real_value(app, names, take, min, max, what);
}

// `target` is a bool, or a std::optional of one.
template <class T>
Flag add_switch(CLI::App& app, const std::string& names, T& target, const std::string& what) {
  return add_switch_value(
      app, names, [&target](bool value) { target = value; }, what);
}

// A parser of flags that come another way than from the command line.
class FlagParser {
 public:
  FlagParser();
  FlagParser(const FlagParser&) = delete;
  FlagParser& operator=(const FlagParser&) = delete;
  ~FlagParser();

  CLI::App& app() { return *app_; }        // to add flags to
  std::vector<std::string> names() const;  // of each the first long one, without its dashes
  bool has(const std::string& flag) const;
  bool takes_value(const std::string& flag) const;
  void parse(std::vector<std::string> arguments);  // Throws BadUsage

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace carat
