// The user's settings: flags that count where neither the command line nor the environment says otherwise.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace carat {

// "temp = 0.5": a line of the file. Names are those of long flags, without the dashes.
struct Setting {
  std::string name, value;
  std::string place;  // "/home/me/.config/carat/config: line 3"
};

// Those that are meant for a command: of the lines before any section, and of the section "[COMMAND]". From the file
// of CARAT_CONFIG (which has to be there), else of $XDG_CONFIG_HOME/carat/config, else of ~/.config/carat/config.
// Blank lines and lines that begin with # say nothing. Throws BadUsage.
std::vector<Setting> read_settings(std::string_view command);

// The same of a file's text, which came from `path`.
std::vector<Setting> parse_settings(std::string_view text, const std::string& path, std::string_view command);

}  // namespace carat
