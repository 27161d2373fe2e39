#include "app/placement_flags.h"

#include <sched.h>

#include <algorithm>

#include "app/cpus.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/log.h"

namespace carat {
namespace {

// In turn from each node: threads side by side share no node's memory before all have some.
std::vector<int> spread(const std::vector<std::vector<int>>& nodes) {
  std::vector<int> cpus;
  std::size_t longest = 0;
  for (const std::vector<int>& node : nodes) longest = std::max(longest, node.size());
  for (std::size_t i = 0; i < longest; ++i) {
    for (const std::vector<int>& node : nodes) {
      if (i < node.size()) cpus.push_back(node[i]);
    }
  }
  return cpus;
}

void keep_only(std::vector<int>& cpus, const std::vector<int>& wanted) {
  std::erase_if(cpus, [&wanted](int cpu) { return std::ranges::find(wanted, cpu) == wanted.end(); });
}

}  // namespace

void PlacementFlags::add_to(CLI::App& app) {
  add_text(app, "--cpu-range", range, "CPUS", "run on these CPUs alone: 0-3 or 0,2,4-7")->group(kMore);
  add_switch(app, "--pin", pins, "keep each thread on a CPU of its own")->group(kMore);
  add_text(app, "--numa", numa, "HOW",
           "on a machine of several nodes: distribute (pin threads to each in turn), isolate (run on one), numactl (as "
           "that program says; it always counts)")
      ->check(one_of({"distribute", "isolate", "numactl"}))
      ->group(kMore);
}

std::vector<int> PlacementFlags::take_cpus() const {
  const std::vector<int> allowed = allowed_cpus();
  std::vector<int> cpus = allowed;
  if (!range.empty()) {
    const auto wanted = parse_cpus(range);
    if (!wanted) throw BadUsage("--cpu-range: '" + range + "' is not of the form 0-3 or 0,2,4-7");
    for (const int cpu : *wanted) {
      if (std::ranges::find(allowed, cpu) != allowed.end()) continue;
      throw Failure(kExitResource, "--cpu-range: CPU " + std::to_string(cpu) + " is none that this process may use",
                    "it may use " + cpu_names(allowed));
    }
    keep_only(cpus, *wanted);
    bind_to(cpus);
  }
  if (numa == "distribute" || numa == "isolate") {
    std::vector<std::vector<int>> nodes = numa_nodes();
    if (nodes.size() < 2) log_note("--numa " + numa + ": this machine has one node only");
    for (std::vector<int>& node : nodes) {
      keep_only(node, cpus);
      const bool is_here = std::ranges::find(node, ::sched_getcpu()) != node.end();
      if (numa == "isolate" && is_here) bind_to(cpus = node);
    }
    if (numa == "distribute" && nodes.size() > 1) cpus = spread(nodes);
  }
  return cpus;
}

std::vector<int> PlacementFlags::pinned(std::vector<int> cpus, std::size_t threads) const {
  if (threads > cpus.size()) {
    throw Failure(kExitResource,
                  std::string(pins ? "--pin" : "--numa") + ": " + std::to_string(threads) + " threads for " +
                      std::to_string(cpus.size()) + (cpus.size() == 1 ? " CPU" : " CPUs"),
                  "-t " + std::to_string(cpus.size()));
  }
  cpus.resize(threads);
  return cpus;
}

}  // namespace carat
