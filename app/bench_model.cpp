#include "app/bench_model.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <map>
#include <vector>

#include "app/failure.h"
#include "app/machine.h"
#include "app/nearest.h"
#include "app/open_model.h"
#include "convert/policy.h"
#include "engine/error.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

// Besides weights: activations, cache, the program itself.
constexpr std::uint64_t kWorkingBytes = std::uint64_t{1} << 29;

std::string upper(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return result;
}

std::string gigabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

// "1B", "3.9B", "268M", "293K"
std::string size_label(std::uint64_t parameters) {
  const auto count = static_cast<double>(parameters);
  char text[32];
  if (count < 0.95e9) {
    std::snprintf(text, sizeof text, count < 0.95e6 ? "%.0fK" : "%.0fM", count / (count < 0.95e6 ? 1e3 : 1e6));
    return text;
  }
  std::snprintf(text, sizeof text, "%.1f", count / 1e9);
  std::string label = text;
  if (label.ends_with(".0")) label.resize(label.size() - 2);
  return label + "B";
}

// What the file says it is, else the type of most of its bytes.
std::string quantisation(const ModelFile& file) {
  constexpr std::size_t kUnknown = 1000;
  const std::size_t id = file.metadata().count_or("general.file_type", kUnknown, 0, ~std::uint32_t{0});
  for (const FileType& type : file_types())
    if (type.gguf == id) return std::string(type.model);
  std::map<DType, std::uint64_t> bytes;
  for (const FileTensor& tensor : file.tensors()) bytes[tensor.dtype] += tensor.bytes.size();
  const auto most = std::ranges::max_element(bytes, {}, [](const auto& entry) { return entry.second; });
  return most == bytes.end() ? "" : upper(info(most->first).name);
}

BenchModel describe(std::optional<WeightMemory> memory, ModelFile file, std::string name, std::string type) {
  std::uint64_t bytes = 0, parameters = 0;
  for (const FileTensor& tensor : file.tensors()) {
    const Tensor matrix = as_matrix(tensor);
    bytes += tensor.bytes.size();
    parameters += std::uint64_t{matrix.rows} * matrix.cols;
  }
  const std::string architecture(file.metadata().text_or("general.architecture", ""));
  const std::string label = architecture + " " + size_label(parameters) + " " + type;
  return {std::move(memory), std::move(file), std::move(name), label, bytes, parameters, 0};
}

std::string preset_names() {
  std::string names;
  for (const Preset& preset : presets()) names += (names.empty() ? "" : ", ") + std::string(preset.name);
  return names;
}

std::string type_names() {
  std::string names;
  for (const DTypeInfo& type : kDTypes) names += std::string(type.name) + ", ";
  for (const FileType& type : file_types())
    if (!dtype_from_name(type.name)) names += std::string(type.name) + ", ";
  return names.substr(0, names.size() - 2);
}

FileType find_type(const std::string& name) {
  if (const FileType* mixture = find_file_type(name)) return *mixture;
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (const auto dtype = dtype_from_name(lower)) return {info(*dtype).name, 0, *dtype, {}};
  throw BadUsage("--type: there is no type '" + name + "'", "there are " + type_names());
}

// The types that compress-weights would give the tensors.
void choose_types(const FileType& type, const Preset& preset, std::vector<FileTensor>& tensors) {
  std::vector<SourceTensor> sources;
  for (const FileTensor& tensor : tensors) {
    const std::vector<std::uint64_t> dims(tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims);
    sources.push_back({tensor.name, tensor.dtype, dims, {}, {}, {}});
  }
  sort_like_reference(sources);
  const std::vector<DType> types = choose_types(type, preset_metadata(preset), sources);
  for (FileTensor& tensor : tensors) {
    const auto at = std::ranges::find(sources, tensor.name, &SourceTensor::name);
    tensor.dtype = types[static_cast<std::size_t>(at - sources.begin())];
  }
}

void check_fits(const Preset& preset, const std::string& type, std::uint64_t bytes) {
  const std::uint64_t available = available_memory();
  if (bytes + kWorkingBytes <= available) return;
  throw NoResource("--preset " + std::string(preset.name) + " --type " + type + ": " + gigabytes(bytes) +
                   " of weights and " + gigabytes(kWorkingBytes) + " to work with, but " + gigabytes(available) +
                   " of memory are available");
}

}  // namespace

BenchModel open_bench_model(const std::string& path) {
  const auto start = Clock::now();
  ModelFile file = open_file(path);
  const double open_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  std::string type = quantisation(file);
  BenchModel model = describe(std::nullopt, std::move(file), path, std::move(type));
  model.open_ms = open_ms;
  return model;
}

MadeUpModel plan_bench_model(const std::string& preset_name, const std::string& type_name) {
  const Preset* const preset = find_preset(preset_name);
  if (preset == nullptr) {
    throw BadUsage("--preset: there is no preset '" + preset_name + "'", "there are " + preset_names());
  }
  const FileType type = find_type(type_name);
  MadeUpModel plan{preset, upper(type.name), preset_tensors(*preset)};
  choose_types(type, *preset, plan.tensors);
  check_fits(*preset, type_name, synthetic_bytes(plan.tensors));
  return plan;
}

BenchModel make_bench_model(const MadeUpModel& plan) {
  SyntheticModel made = make_synthetic(*plan.preset, plan.tensors);
  return describe(std::move(made.memory), std::move(made.file), std::string(plan.preset->name), plan.type);
}

}  // namespace carat
