// Which layers of a model go to a GPU: as many as were asked for, or as many as fit.
#pragma once
#include <cstddef>
#include <optional>
#include <string>

#include "app/options.h"
#include "engine/model.h"
#include "engine/session.h"
#include "kernels/gpu.h"

namespace carat {

// One of find_gpus(), and where it stands among them.
struct FoundGpu {
  std::size_t index = 0;
  Gpu gpu;
};

// The device that the flags mean; none: the CPU. Throws BadUsage, and Failure (resource) for one that is not there.
std::optional<FoundGpu> choose_device(const BackendFlags& flags);

struct GpuChoice {
  FoundGpu device;
  std::size_t layers = 0;  // none: the CPU alone
};

// For `sequences` sessions at once. Throws as choose_device() does, and Failure (resource) for layers that do not fit,
// with how many do.
GpuChoice choose_gpu(const BackendFlags& flags, const ModelFile& file, const ModelConfig& config,
                     const SessionOptions& session, std::size_t sequences = 1);

// The same for sessions of the context that the flags come to.
GpuChoice choose_gpu(const BackendFlags& flags, const ContextFlags& context, const ModelFile& file,
                     std::size_t sequences = 1);

// Throws BadFile, Unsupported, NoResource and DeviceError.
Model load_placed(const ModelFile& file, const BackendOptions& options, const GpuChoice& choice);

// Bytes on a GPU that has the last `layers` layers of a model, with their cache and activations.
std::uint64_t gpu_need(const ModelFile& file, const ModelConfig& config, const SessionOptions& session,
                       std::size_t sequences, std::size_t layers);

// What runs the model, for people and programs: "cpu", "cuda", "cuda+cpu".
std::string device_of(const Model& model);

}  // namespace carat
