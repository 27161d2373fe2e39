// What bench measures: a model's file, or the shape of a published model with made-up weights.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/synthetic.h"

namespace carat {

struct BenchModel {
  std::optional<WeightMemory> memory;  // of made-up weights; the file looks into it
  ModelFile file;
  std::string name;  // the path, or the preset's name
  std::string type;  // "gemma3 1B Q4_0"
  std::uint64_t bytes = 0, parameters = 0;
  double open_ms = 0;
};

// Throws BadFile and Unsupported.
BenchModel open_bench_model(const std::string& path);

// A preset whose tensors have their types.
struct MadeUpModel {
  const Preset* preset;
  std::string type;  // "Q4_0"
  std::vector<FileTensor> tensors;
};

// `type` is one of a matrix, or of a mixture of compress-weights. Throws BadUsage, and NoResource when the weights do
// not fit into the memory that is available.
MadeUpModel plan_bench_model(const std::string& preset, const std::string& type);
BenchModel make_bench_model(const MadeUpModel& plan);

}  // namespace carat
