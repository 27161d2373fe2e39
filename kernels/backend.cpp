#include "kernels/backend.h"

#include <stdexcept>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/dispatch.h"

namespace carat {

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
  const cpu::Table* table = cpu::select(options.isa);
  if (table == nullptr) throw std::invalid_argument("this machine has no instruction set '" + options.isa + "'");
  return std::make_unique<cpu::CpuBackend>(*table, options);
}

std::vector<std::string_view> usable_isas() {
  std::vector<std::string_view> names;
  for (const cpu::Table* table : cpu::usable()) names.emplace_back(table->name);
  return names;
}

}  // namespace carat
