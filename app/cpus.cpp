#include "app/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <memory>
#include <new>
#include <system_error>

namespace carat {
namespace {

// As many CPUs as a kernel can be built for; the set that fits one page falls short of that.
constexpr int kMaxCpus = 8192;

class CpuSet {
 public:
  CpuSet() : set_(CPU_ALLOC(kMaxCpus)) {
    if (set_ == nullptr) throw std::bad_alloc();
    CPU_ZERO_S(kBytes, set_);
  }
  ~CpuSet() { CPU_FREE(set_); }
  CpuSet(const CpuSet&) = delete;
  CpuSet& operator=(const CpuSet&) = delete;

  static constexpr std::size_t kBytes = CPU_ALLOC_SIZE(kMaxCpus);
  cpu_set_t* get() { return set_; }
  bool has(int cpu) const { return CPU_ISSET_S(static_cast<std::size_t>(cpu), kBytes, set_) != 0; }
  void add(int cpu) { CPU_SET_S(static_cast<std::size_t>(cpu), kBytes, set_); }

 private:
  cpu_set_t* set_;
};

// A number from 0 to kMaxCpus - 1 that `text` begins with, which is taken off.
std::optional<int> take_number(std::string_view& text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || number >= kMaxCpus) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::vector<int> read_list(const std::string& path) {
  std::ifstream in(path);
  std::string list;
  std::getline(in, list);
  return parse_cpus(list).value_or(std::vector<int>());
}

}  // namespace

std::vector<int> allowed_cpus() {
  CpuSet set;
  std::vector<int> cpus;
  if (::sched_getaffinity(0, CpuSet::kBytes, set.get()) == 0) {
    for (int cpu = 0; cpu < kMaxCpus; ++cpu)
      if (set.has(cpu)) cpus.push_back(cpu);
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

std::optional<std::vector<int>> parse_cpus(std::string_view text) {
  std::vector<int> cpus;
  for (bool goes_on = true; goes_on;) {
    const auto first = take_number(text);
    if (!first) return std::nullopt;
    std::optional<int> last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      last = take_number(text);
      if (!last || *last < *first) return std::nullopt;
    }
    for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
    goes_on = text.starts_with(',');
    if (goes_on) text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  std::ranges::sort(cpus);
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());  // clang 14 cannot do std::ranges::unique
  return cpus;
}

std::string cpu_names(std::span<const int> cpus) {
  std::string text;
  for (std::size_t begin = 0; begin < cpus.size();) {
    std::size_t end = begin + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[begin]);
    if (end - begin > 1) text += "-" + std::to_string(cpus[end - 1]);
    begin = end;
  }
  return text;
}

std::vector<std::vector<int>> numa_nodes() {
  std::vector<std::vector<int>> nodes;
  for (const int node : read_list("/sys/devices/system/node/online")) {
    std::vector<int> cpus = read_list("/sys/devices/system/node/node" + std::to_string(node) + "/cpulist");
    if (!cpus.empty()) nodes.push_back(std::move(cpus));
  }
  return nodes;
}

void bind_to(std::span<const int> cpus) {
  CpuSet set;
  for (const int cpu : cpus) set.add(cpu);
  if (::sched_setaffinity(0, CpuSet::kBytes, set.get()) != 0)
    throw std::system_error(errno, std::generic_category(), "CPUs " + cpu_names(cpus));
}

}  // namespace carat
