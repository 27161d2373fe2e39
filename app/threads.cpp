#include "app/threads.h"

#include <algorithm>
#include <fstream>

#include "app/control_groups.h"
#include "app/cpus.h"

namespace carat {
namespace {

// CPUs of one group: quota by period. Version 2 keeps both in one file, "max" for no quota; version 1 writes -1.
std::optional<double> quota_of(const std::filesystem::path& group) {
  double quota = 0, period = 0;
  if (std::ifstream(group / "cpu.max") >> quota >> period && period > 0) return quota / period;
  const auto quota_v1 = group_number(group / "cpu.cfs_quota_us");
  const auto period_v1 = group_number(group / "cpu.cfs_period_us");
  if (quota_v1 && period_v1 && *quota_v1 > 0 && *period_v1 > 0) return *quota_v1 / *period_v1;
  return std::nullopt;
}

}  // namespace

std::size_t usable_cpus() {
  const std::size_t cpus = allowed_cpus().size();
  const auto quota = cpu_quota();
  return quota && *quota < static_cast<double>(cpus) ? static_cast<std::size_t>(std::max(*quota, 1.0)) : cpus;
}

std::optional<double> cpu_quota() {
  std::optional<double> least;
  for_each_group("cpu", [&least](const std::filesystem::path& group) {
    const auto quota = quota_of(group);
    if (quota && (!least || *quota < *least)) least = quota;
  });
  return least;
}

}  // namespace carat
