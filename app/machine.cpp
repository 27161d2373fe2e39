#include "app/machine.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

#include "app/control_groups.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// What follows "KEY:" in a file of such lines.
std::string value_of(const char* path, std::string_view key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key)) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return {};
}

// Bytes of files that a group keeps in memory as long as nobody needs it for something else.
std::uint64_t reclaimable(const fs::path& group) {
  std::uint64_t bytes = 0;
  std::ifstream in(group / "memory.stat");
  std::string key;
  for (std::uint64_t value = 0; in >> key >> value;)
    if (key == "inactive_file" || key == "active_file") bytes += value;
  return bytes;
}

// What one group, whose files have these names, has left.
std::uint64_t left_in(const fs::path& group, const char* limit_name, const char* used_name) {
  const auto limit = group_number(group / limit_name), used = group_number(group / used_name);
  if (!limit || !used || *limit >= static_cast<double>(kNoLimit)) return kNoLimit;
  const double bound = std::max(0.0, *used - static_cast<double>(reclaimable(group)));
  return static_cast<std::uint64_t>(std::max(0.0, *limit - bound));
}

}  // namespace

std::string cpu_name() { return value_of("/proc/cpuinfo", "model name"); }

std::uint64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::uint64_t available_memory() {
  const std::string kilobytes = value_of("/proc/meminfo", "MemAvailable");
  std::uint64_t least = kilobytes.empty() ? kNoLimit : std::strtoull(kilobytes.c_str(), nullptr, 10) * 1024;
  for_each_group("memory", [&least](const fs::path& group) {
    least = std::min(least, left_in(group, "memory.max", "memory.current"));
    least = std::min(least, left_in(group, "memory.limit_in_bytes", "memory.usage_in_bytes"));
  });
  return least;
}

}  // namespace carat
