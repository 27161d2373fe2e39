// The CPUs of the machine, by their numbers.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

std::vector<int> allowed_cpus();  // that this thread may run on, ascending; at least one

// As the system lists them: "0-3,8"; ascending. None if it is no such list.
std::optional<std::vector<int>> parse_cpus(std::string_view text);
std::string cpu_names(std::span<const int> cpus);  // in that form

// The CPUs of each node that has some; of a machine that knows no nodes, nothing.
std::vector<std::vector<int>> numa_nodes();

// This thread, and those that it starts, run on these alone. Throws std::system_error.
void bind_to(std::span<const int> cpus);

}  // namespace carat
