// How many CPUs this process may use.
#pragma once
#include <cstddef>
#include <optional>

namespace carat {

// The CPUs it may run on, and no more than the quota of its control groups (version 1 and 2) allows; at least 1.
std::size_t usable_cpus();

// The quota of its control groups by itself, in CPUs; none if they set none.
std::optional<double> cpu_quota();

}  // namespace carat
