// The control groups (cgroups, version 1 and 2) that this process lies in.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

namespace carat {

// The folders of the process's own groups and of all that they lie in, of a controller ("cpu", "memory") of version 1
// and of version 2, where they can be seen.
void for_each_group(std::string_view controller, const std::function<void(const std::filesystem::path& folder)>& visit);

// The first number of a file of a group; none where it has none, as in "max".
std::optional<double> group_number(const std::filesystem::path& file);

}  // namespace carat
