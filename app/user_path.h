// Paths as people type them.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

// Without quotes around it, and with the user's home in place of a leading "~".
std::string user_path(std::string_view typed);

// Whether a path leads to anything; never throws, as where links go round in circles.
bool is_there(const std::filesystem::path& path);

// What a path that begins so can be: entries of its folder, each as typed up to there; folders end with "/".
std::vector<std::string> complete_path(const std::string& typed);

}  // namespace carat
