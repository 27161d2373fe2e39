// Arguments to flags and words, and flags to help.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"

namespace carat {

enum class Asked { work, help, all_help, version };

// A flag as help, completion and the manual show it.
struct FlagInfo {
  std::vector<std::string> names;    // "-m", "--model", "--weights"; of a switch also "--no-stats"
  std::string shown;                 // the names in a line, and the value's: "-m, --model FILE", "--[no-]stats"
  std::string value;                 // "FILE"; empty: takes none
  std::vector<std::string> choices;  // of the value; none: anything
  std::string what;
  bool is_daily = true;
};

// The parser of a command, its flags and its work.
class CommandLine {
 public:
  explicit CommandLine(const CommandRow& row);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  // Sets the command's flags and returns the other arguments. In long names `_` and `-` are the same, and everything
  // after `--` is no flag. Throws BadUsage.
  std::vector<std::string> parse(const std::vector<std::string>& arguments);

  Asked asked() const;
  bool asks_for_isas() const;  // --isa list

  // `all`: every flag there is; otherwise those that are used every day.
  std::string help(bool all) const;

  // In the order of the help. `all_names`: `shown` has those, too, that other programs use.
  std::vector<FlagInfo> flags(bool all_names) const;

  const CommandRow& row() const { return row_; }
  const Command& command() const { return command_; }

 private:
  struct Walk;

  void take_long(Walk& walk, const std::string& argument) const;
  void take_short(Walk& walk, const std::string& argument) const;
  void add_environment(Walk& walk) const;
  void add_settings(Walk& walk) const;
  [[noreturn]] void refuse(const std::string& flag) const;
  bool talks() const { return row_.talks; }

  const CommandRow& row_;
  std::unique_ptr<CLI::App> app_;
  Command command_;
  bool help_ = false, all_help_ = false, version_ = false;
};

}  // namespace carat
