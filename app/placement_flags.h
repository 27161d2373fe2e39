// Which CPUs the threads run on.
#pragma once
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace carat {

struct PlacementFlags {
  std::string range;  // "0-3,8"; empty: all that this process may use
  bool pins = false;
  std::string numa;  // distribute, isolate, numactl

  void add_to(CLI::App&);

  bool is_pinned() const { return pins || numa == "distribute"; }

  // Those that are asked for, in the order in which threads take them. Where they are fewer than this process may use,
  // the calling thread is bound to them, and with it all that it starts. Throws BadUsage and Failure.
  std::vector<int> take_cpus() const;

  // One for each of so many threads. Throws Failure.
  std::vector<int> pinned(std::vector<int> cpus, std::size_t threads) const;
};

}  // namespace carat
