#include "kernels/cpu/dispatch.h"

#include <vector>

#include "kernels/cpu/cpu_features.h"

namespace carat::cpu {

std::span<const Table* const> usable() {
  static const std::vector<const Table*> tables = [] {
    const Features features = detect();
    std::vector<const Table*> found;
    if (features.amx) found.push_back(&kAmx);
    if (features.avx512vnni) found.push_back(&kAvx512Vnni);
    if (features.avx2) found.push_back(&kAvx2);
    found.push_back(&kBaseline);
    found.push_back(&kReference);
    return found;
  }();
  return tables;
}

const Table* select(std::string_view name) {
  for (const Table* table : usable())
    if (name.empty() || name == table->name) return table;
  return nullptr;
}

}  // namespace carat::cpu
