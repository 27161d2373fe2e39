#include "app/user_path.h"

#include <algorithm>

#include "app/environment.h"

namespace carat {

std::string user_path(std::string_view typed) {
  const bool is_quoted =
      typed.size() >= 2 && (typed.front() == '"' || typed.front() == '\'') && typed.back() == typed.front();
  if (is_quoted) return std::string(typed.substr(1, typed.size() - 2));
  const std::string_view home = environment("HOME");
  if (!home.empty() && (typed == "~" || typed.starts_with("~/"))) return std::string(home).append(typed.substr(1));
  return std::string(typed);
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::vector<std::string> complete_path(const std::string& typed) {
  const std::size_t slash = typed.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : typed.substr(0, slash + 1);
  const std::string begin = typed.substr(folder.size());
  std::vector<std::string> paths;
  std::error_code ignored;
  std::filesystem::directory_iterator entries(folder.empty() ? "." : user_path(folder), ignored);
  for (; !ignored && entries != std::filesystem::directory_iterator(); entries.increment(ignored)) {
    const std::string name = entries->path().filename();
    const bool is_hidden = name.starts_with('.') && begin.empty();
    if (is_hidden || !name.starts_with(begin)) continue;
    paths.push_back(folder + name + (entries->is_directory(ignored) ? "/" : ""));
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace carat
