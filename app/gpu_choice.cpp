#include "app/gpu_choice.h"

#include <algorithm>
#include <charconv>

#include "app/failure.h"
#include "app/memory_need.h"

namespace carat {
namespace {

// For the driver's own things, and for tensors that begin at round addresses.
constexpr std::uint64_t kSpare = std::uint64_t{256} << 20;

// The layer that "blk.12.attn_q.weight" is of.
std::size_t layer_of(const std::string& tensor, std::size_t otherwise) {
  constexpr std::string_view kPrefix = "blk.";
  if (!tensor.starts_with(kPrefix)) return otherwise;
  std::size_t layer = otherwise;
  std::from_chars(tensor.data() + kPrefix.size(), tensor.data() + tensor.size(), layer);
  return layer;
}

std::uint64_t weight_need(const ModelFile& file, const ModelConfig& config, std::size_t layers) {
  const bool tied = file.find("output.weight") == nullptr;
  std::uint64_t bytes = 0;
  for (const FileTensor& tensor : file.tensors()) {
    const std::size_t layer = layer_of(tensor.name, config.layers.size());
    const bool embeds = tensor.name == "token_embd.weight";
    const bool there = embeds ? tied || layers == config.layers.size() : layer + layers >= config.layers.size();
    if (there) bytes += tensor.bytes.size();
  }
  return bytes;
}

std::size_t layers_that_fit(const ModelFile& file, const ModelConfig& config, const SessionOptions& session,
                            std::size_t sequences, std::uint64_t free) {
  std::size_t layers = config.layers.size();
  while (layers > 0 && gpu_need(file, config, session, sequences, layers) > free) --layers;
  return layers;
}

// "N", as many of the model's layers; none for what is no number.
std::optional<std::size_t> parse_layers(const std::string& text) {
  std::size_t layers = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layers);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return layers;
}

// Whether it is an error if no layer goes to a GPU.
bool must_have(const BackendFlags& flags) { return flags.gpu_layers != "auto" && flags.gpu_layers != "0"; }

// The device that the flags name; none for the CPU.
std::optional<FoundGpu> find_device(const BackendFlags& flags, const Gpus& gpus) {
  if (flags.device == "cpu") return std::nullopt;
  const bool takes_first = flags.device == "auto" || (!gpu_kind().empty() && flags.device == gpu_kind());
  const auto named = takes_first ? gpus.found.begin() : std::ranges::find(gpus.found, flags.device, &Gpu::id);
  if (named == gpus.found.end()) return std::nullopt;
  return FoundGpu{static_cast<std::size_t>(named - gpus.found.begin()), *named};
}

}  // namespace

std::optional<FoundGpu> choose_device(const BackendFlags& flags) {
  const std::string& asked = flags.gpu_layers;
  if (asked != "auto" && asked != "all" && !parse_layers(asked))
    throw BadUsage("-ngl " + asked + ": the layers on a GPU are a number, auto or all");
  const bool needs_gpu = must_have(flags), names_gpu = flags.device != "auto" && flags.device != "cpu";
  if (!names_gpu && !needs_gpu && (asked == "0" || flags.device == "cpu")) return std::nullopt;  // the driver sleeps on
  const Gpus gpus = find_gpus();
  const std::optional<FoundGpu> device = find_device(flags, gpus);
  if (!device && names_gpu) {
    throw Failure(
        kExitResource,
        "--device: there is no device '" + flags.device + "'" + (gpus.found.empty() ? ": " + gpus.why_none : ""),
        "'carat devices' lists them");
  }
  if (!device && needs_gpu) {
    const std::string why = flags.device == "cpu" ? "--device is cpu" : gpus.why_none;
    throw Failure(kExitResource, "-ngl " + asked + ": there is no GPU to put layers on: " + why, "-ngl 0");
  }
  return asked == "0" ? std::nullopt : device;
}

GpuChoice choose_gpu(const BackendFlags& flags, const ModelFile& file, const ModelConfig& config,
                     const SessionOptions& session, std::size_t sequences) {
  const std::optional<FoundGpu> device = choose_device(flags);
  if (!device) return {};
  const Gpu& gpu = device->gpu;
  const std::size_t all = config.layers.size(), wanted = std::min(parse_layers(flags.gpu_layers).value_or(all), all);
  const std::uint64_t need = gpu_need(file, config, session, sequences, wanted);
  if (need <= gpu.free) return {*device, wanted};
  const std::size_t fitting = layers_that_fit(file, config, session, sequences, gpu.free);
  if (!must_have(flags)) return {*device, fitting};
  throw Failure(kExitResource,
                "-ngl " + flags.gpu_layers + ": " + std::to_string(wanted) + " layers take " + size_name(need) +
                    " on " + gpu.id + ", and " + size_name(gpu.free) + " are free",
                fitting > 0 ? "-ngl " + std::to_string(fitting) + " fits" : "not even one fits: -ngl 0", true);
}

GpuChoice choose_gpu(const BackendFlags& flags, const ContextFlags& context, const ModelFile& file,
                     std::size_t sequences) {
  const ModelConfig config = read_config(file);
  std::vector<Warning> told_later;
  return choose_gpu(flags, file, config, {context.positions(config, told_later), context.step(), context.cache},
                    sequences);
}

std::uint64_t gpu_need(const ModelFile& file, const ModelConfig& config, const SessionOptions& session,
                       std::size_t sequences, std::size_t layers) {
  if (layers == 0) return 0;
  ModelConfig there = config;
  there.layers.erase(there.layers.begin(), there.layers.end() - static_cast<std::ptrdiff_t>(layers));
  const SessionMemory memory = session_memory(there, session, sequences);
  const std::size_t batch = std::min(session.batch, session.context) + (sequences > 1 ? sequences : 0);
  return weight_need(file, config, layers) + memory.cache + memory.scratch +
         gpu_scratch_bytes({config.width, config.hidden, config.heads, config.head_dim}, batch) + kSpare;
}

Model load_placed(const ModelFile& file, const BackendOptions& options, const GpuChoice& choice) {
  auto cpu = make_cpu_backend(options);
  if (choice.layers == 0) return load_model(file, std::move(cpu));
  return load_model(file, std::move(cpu), make_gpu_backend(choice.device.index), choice.layers);
}

std::string device_of(const Model& model) {
  if (model.gpu == nullptr) return "cpu";
  const std::string gpu(model.gpu->name());
  return model.border() == 0 ? gpu : gpu + "+cpu";
}

}  // namespace carat
