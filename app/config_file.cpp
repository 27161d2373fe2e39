#include "app/config_file.h"

#include <algorithm>
#include <filesystem>

#include "app/environment.h"
#include "app/failure.h"
#include "app/text_input.h"

namespace carat {
namespace {

std::string variable(const char* name) { return std::string(environment(name)); }

// Empty: there is none.
std::string config_path() {
  if (const std::string named = variable("CARAT_CONFIG"); !named.empty()) return named;
  std::string folder = variable("XDG_CONFIG_HOME");
  if (folder.empty() && !variable("HOME").empty()) folder = variable("HOME") + "/.config";
  if (folder.empty()) return {};
  const std::string path = folder + "/carat/config";
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) ? path : std::string();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kWhite = " \t\r";
  const std::size_t begin = text.find_first_not_of(kWhite);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhite) - begin + 1);
}

// A value that begins or ends with white space stands in quotes.
std::string_view unquoted(std::string_view text) {
  const bool is_quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

}  // namespace

std::vector<Setting> read_settings(std::string_view command) {
  const std::string path = config_path();
  if (path.empty()) return {};
  return parse_settings(read_text(path), path, command);
}

std::vector<Setting> parse_settings(std::string_view text, const std::string& path, std::string_view command) {
  check_text(text, path);
  std::vector<Setting> settings;
  std::string_view section = command;
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::string place = path + ": line " + std::to_string(++number);
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[' && line.back() == ']') {
      section = trimmed(line.substr(1, line.size() - 2));
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) throw BadUsage(place + ": not of the form NAME = VALUE");
    if (section != command) continue;
    std::string name(trimmed(line.substr(0, equals)));
    name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
    std::ranges::replace(name, '_', '-');
    settings.push_back({std::move(name), std::string(unquoted(trimmed(line.substr(equals + 1)))), place});
  }
  return settings;
}

}  // namespace carat
