#include <array>

#include "engine/arch/arch.h"
#include "engine/error.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::array kArchitectures = {
    Architecture{"gemma", read_gemma}, Architecture{"gemma2", read_gemma2}, Architecture{"gemma3", read_gemma3},
    Architecture{"llama", read_llama}, Architecture{"qwen2", read_qwen2},   Architecture{"qwen3", read_qwen3},
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

ModelConfig read_config(const ModelFile& file) {
  const std::string_view name = file.metadata().text("general.architecture");
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture.read(ArchKeys(file, name));
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  throw Unsupported(file.path() + ": general.architecture: " + quote(name) + " is not supported; known are " + known);
}

}  // namespace carat
