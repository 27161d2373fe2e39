#include "app/history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "app/environment.h"
#include "app/transcript.h"
#include "engine/error.h"

namespace carat {
namespace {

std::string escaped(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else {
      if (c == '\\') line += '\\';
      line += c;
    }
  }
  return line + '\n';
}

std::string unescaped(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      text += line[i] == 'n' ? '\n' : line[i];
    } else {
      text += line[i];
    }
  }
  return text;
}

}  // namespace

std::filesystem::path state_folder() {
  const auto folder = [](const char* variable) -> std::filesystem::path {
    const std::string_view value = environment(variable);
    return value.starts_with('/') ? value : "";  // the standard has relative ones ignored
  };
  if (auto state = folder("XDG_STATE_HOME"); !state.empty()) return state / "carat";
  if (auto home = folder("HOME"); !home.empty()) return home / ".local" / "state" / "carat";
  return {};
}

bool keeps_history() { return environment("CARAT_NOHISTORY").empty(); }

History::History(std::filesystem::path path) : path_(std::move(path)) {
  if (path_.empty()) return;
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) entries_.push_back(unescaped(line));
  if (!entries_.empty()) last_ = entries_.back();
  if (entries_.size() <= kMaxEntries) return;
  entries_.erase(entries_.begin(), entries_.end() - static_cast<std::ptrdiff_t>(kMaxEntries));
  rewrite();
}

bool History::add(std::string_view text) {
  if (text.empty() || text == last_) return false;
  last_ = text;
  if (path_.empty()) return true;
  std::error_code ignored;
  std::filesystem::create_directories(path_.parent_path(), ignored);
  // Appended whole, so that two chats at once do not overwrite each other's.
  const int file = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return true;
  const std::string line = escaped(text);
  (void)!::write(file, line.data(), line.size());
  ::close(file);
  return true;
}

void History::rewrite() const try {
  std::string text;
  for (const std::string& entry : entries_) text += escaped(entry);
  write_private(path_, text);
} catch (const Error&) {
}

}  // namespace carat
