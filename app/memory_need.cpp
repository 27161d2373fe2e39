#include "app/memory_need.h"

#include <cstdio>
#include <iterator>

#include "app/failure.h"
#include "app/machine.h"
#include "app/model_facts.h"

namespace carat {
namespace {

constexpr std::size_t kContextStep = 256;

}  // namespace

MemoryNeed memory_need(const ModelFile& file, const ModelConfig& config, const SessionOptions& options,
                       std::size_t sequences) {
  const SessionMemory memory = session_memory(config, options, sequences);
  return {weight_bytes(file), memory.cache, memory.scratch};
}

std::size_t longest_context(const ModelFile& file, const ModelConfig& config, SessionOptions options,
                            std::size_t sequences, std::uint64_t available) {
  std::size_t least = 0, most = options.context / kContextStep + 1;  // the first is known to fit, the last not to
  const auto fits = [&](std::size_t steps) {
    options.context = steps * kContextStep;
    return memory_need(file, config, options, sequences).total() <= available;
  };
  while (most - least > 1) {
    const std::size_t middle = least + (most - least) / 2;
    (fits(middle) ? least : most) = middle;
  }
  return least * kContextStep;
}

void check_memory(const ModelFile& file, const Model& model, const SessionOptions& options, std::size_t sequences) {
  if (model.border() == 0) return;
  const ModelConfig& config = model.config;
  const MemoryNeed need = memory_need(file, config, options, sequences);
  const std::uint64_t there = file.lies_in_memory() ? need.weights : 0;
  const std::uint64_t available = available_memory() + there;
  if (need.total() <= available) return;
  const std::string times = sequences == 1 ? "" : std::to_string(sequences) + " times ";
  const std::size_t context = longest_context(file, config, options, sequences, available);
  throw Failure(kExitResource,
                file.path() + ": takes " + size_name(need.total()) + " of memory (weights " + size_name(need.weights) +
                    ", a cache of " + times + std::to_string(options.context) + " tokens " + size_name(need.cache) +
                    ", activations " + size_name(need.scratch) + "), and " + size_name(available) + " are left",
                context > 0 ? "-c " + std::to_string(context) + " fits"
                            : "no context fits; smaller weights do: 'carat compress-weights' makes them",
                true);
}

std::string size_name(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(kUnits); ++unit) size /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %s", unit == 0 ? 0 : 1, size, kUnits[unit]);
  return text;
}

}  // namespace carat
