#include "app/control_groups.h"

#include <fstream>
#include <string>

namespace carat {
namespace {

namespace fs = std::filesystem;

const fs::path kGroups = "/sys/fs/cgroup";

}  // namespace

// A line of /proc/self/cgroup is "ID:CONTROLLERS:PATH"; version 2 has no controllers. Inside a container the path may
// be the host's, which is not there: what is there is the container's own group, at the mount itself.
void for_each_group(std::string_view controller, const std::function<void(const fs::path& folder)>& visit) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string wanted = "," + std::string(controller) + ",";
    if (!controllers.empty() && ("," + controllers + ",").find(wanted) == std::string::npos) continue;
    const fs::path mount = controllers.empty() ? kGroups : kGroups / controllers;
    for (fs::path at = fs::path(line.substr(second + 1)).relative_path();; at = at.parent_path()) {
      visit(mount / at);
      if (at.empty()) break;
    }
  }
}

std::optional<double> group_number(const fs::path& file) {
  double value = 0;
  return std::ifstream(file) >> value ? std::optional(value) : std::nullopt;
}

}  // namespace carat
