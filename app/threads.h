// How many CPUs this process may use.
#pragma once
#include <cstddef>

namespace carat {

// The CPUs it may run on, and no more than the quota of its control groups (version 1 and 2) allows; at least 1.
std::size_t usable_cpus();

}  // namespace carat
