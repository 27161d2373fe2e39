// What the user has typed before, in a file of the user's own.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

// Where state that outlives a process is kept: $XDG_STATE_HOME/carat, else ~/.local/state/carat. Empty: nowhere.
std::filesystem::path state_folder();

// Whether the user wants nothing to be kept: CARAT_NOHISTORY is set.
bool keeps_history();

// A file that only its owner can read, one entry a line, with "\n" and "\\" for a line feed and a backslash. What
// cannot be read or written is passed over: it is only a comfort.
class History {
 public:
  static constexpr std::size_t kMaxEntries = 1000;

  // An empty path: nothing is kept.
  explicit History(std::filesystem::path path);

  const std::vector<std::string>& entries() const { return entries_; }  // of before, oldest first
  // Not if it is empty or the same as the last one.
  bool add(std::string_view text);

 private:
  void rewrite() const;

  std::filesystem::path path_;
  std::vector<std::string> entries_;
  std::string last_;
};

}  // namespace carat
