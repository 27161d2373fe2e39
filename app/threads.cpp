#include "app/threads.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "app/cpus.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

const fs::path kGroups = "/sys/fs/cgroup";

std::optional<double> read_number(const fs::path& path) {
  double value = 0;
  return std::ifstream(path) >> value ? std::optional(value) : std::nullopt;
}

// CPUs of one group: quota by period. Version 2 keeps both in one file, "max" for no quota; version 1 writes -1.
std::optional<double> quota_of(const fs::path& group) {
  double quota = 0, period = 0;
  if (std::ifstream(group / "cpu.max") >> quota >> period && period > 0) return quota / period;
  const auto quota_v1 = read_number(group / "cpu.cfs_quota_us");
  const auto period_v1 = read_number(group / "cpu.cfs_period_us");
  if (quota_v1 && period_v1 && *quota_v1 > 0 && *period_v1 > 0) return *quota_v1 / *period_v1;
  return std::nullopt;
}

// The least quota of a group and of those that it lies in.
std::optional<double> quota_within(const fs::path& mount, const fs::path& group) {
  std::optional<double> least;
  for (fs::path at = group.relative_path();; at = at.parent_path()) {
    const auto quota = quota_of(mount / at);
    if (quota && (!least || *quota < *least)) least = quota;
    if (at.empty()) return least;
  }
}

// A line of /proc/self/cgroup is "ID:CONTROLLERS:PATH"; version 2 has no controllers. Inside a container the path may
// be the host's, which is not there: what is there is the container's own group, at the mount itself.
std::optional<double> quota_of_line(const std::string& line) {
  const std::size_t first = line.find(':');
  const std::size_t second = line.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) return std::nullopt;
  const std::string controllers = line.substr(first + 1, second - first - 1);
  if (!controllers.empty() && ("," + controllers + ",").find(",cpu,") == std::string::npos) return std::nullopt;
  return quota_within(controllers.empty() ? kGroups : kGroups / controllers, line.substr(second + 1));
}

}  // namespace

std::size_t usable_cpus() {
  const std::size_t cpus = allowed_cpus().size();
  const auto quota = cpu_quota();
  return quota && *quota < static_cast<double>(cpus) ? static_cast<std::size_t>(std::max(*quota, 1.0)) : cpus;
}

std::optional<double> cpu_quota() {
  std::optional<double> least;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto quota = quota_of_line(line);
    if (quota && (!least || *quota < *least)) least = quota;
  }
  return least;
}

}  // namespace carat
