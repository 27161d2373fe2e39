#include "engine/arch/arch.h"

#include <cmath>
#include <limits>

#include "engine/error.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

// Far beyond any model, and small enough that products of a few of them fit 64 bits.
constexpr std::size_t kMaxLayers = 512;
constexpr std::size_t kMaxHeads = 4096;
constexpr std::size_t kMaxHeadDim = 4096;
constexpr std::size_t kMaxWidth = std::size_t{1} << 20;
constexpr std::size_t kMaxContext = std::size_t{1} << 30;
constexpr double kHuge = 1e12;

}  // namespace

ArchKeys::ArchKeys(const ModelFile& file, std::string_view architecture)
    : path_(file.path()), metadata_(file.metadata()), architecture_(architecture) {}

std::string ArchKeys::key(std::string_view name) const { return architecture_ + "." + std::string(name); }

void ArchKeys::refuse(std::string_view name, const std::string& why) const {
  throw BadFile(path_ + ": " + key(name) + ": " + why);
}

void ArchKeys::unsupported(std::string_view name, const std::string& why) const {
  throw Unsupported(path_ + ": " + key(name) + ": " + why);
}

std::size_t ArchKeys::uniform_count(std::string_view name, std::size_t min, std::size_t max) const {
  if (!metadata_.is_array(key(name))) return metadata_.count(key(name), min, max);
  const auto values = metadata_.integers(key(name), static_cast<std::int64_t>(min), static_cast<std::int64_t>(max));
  if (values.size() != metadata_.count(key("block_count"), 1, kMaxLayers))
    refuse(name, "has " + std::to_string(values.size()) + " values, expected one for each layer");
  for (const std::int64_t value : values)
    if (value != values.front()) unsupported(name, "layers that differ in this are not supported");
  return static_cast<std::size_t>(values.front());
}

std::size_t ArchKeys::uniform_count_or(std::string_view name, std::size_t fallback, std::size_t min,
                                       std::size_t max) const {
  return has(name) ? uniform_count(name, min, max) : fallback;
}

double ArchKeys::rope_factor() const {
  const std::string_view type = metadata_.text_or(key("rope.scaling.type"), "linear");
  if (type == "none") return 1;
  if (type != "linear") unsupported("rope.scaling.type", quote(type) + " is not supported; known are none, linear");
  if (has("rope.scaling.factor")) {
    const double factor = metadata_.real(key("rope.scaling.factor"), 0, kHuge);
    return factor == 0 ? 1 : factor;
  }
  return metadata_.real_or(key("rope.scale_linear"), 1, 1e-6, kHuge);
}

ModelConfig ArchKeys::common(std::optional<double> eps_if_missing) const {
  ModelConfig c;
  c.architecture = architecture_;
  c.name = metadata_.text_or("general.name", "");
  if (metadata_.count_or(key("expert_count"), 0, 0, std::numeric_limits<std::uint32_t>::max()) > 0)
    unsupported("expert_count", "mixtures of experts are not supported");

  c.layers.resize(metadata_.count(key("block_count"), 1, kMaxLayers));
  c.context = metadata_.count(key("context_length"), 1, kMaxContext);
  c.width = metadata_.count(key("embedding_length"), 1, kMaxWidth);
  c.hidden = uniform_count("feed_forward_length", 1, kMaxWidth);
  c.heads = uniform_count("attention.head_count", 1, kMaxHeads);
  c.kv_heads = uniform_count_or("attention.head_count_kv", c.heads, 1, kMaxHeads);
  if (c.heads % c.kv_heads != 0)
    refuse("attention.head_count_kv",
           std::to_string(c.kv_heads) + " does not divide the " + std::to_string(c.heads) + " heads");
  if (!has("attention.key_length") && c.width % c.heads != 0)
    refuse("attention.key_length",
           "missing, and " + std::to_string(c.heads) + " heads do not divide the width " + std::to_string(c.width));
  c.head_dim = metadata_.count_or(key("attention.key_length"), c.width / c.heads, 1, kMaxHeadDim);
  if (metadata_.count_or(key("attention.value_length"), c.head_dim, 1, kMaxHeadDim) != c.head_dim)
    unsupported("attention.value_length", "values of another length than keys are not supported");

  const std::string eps = key("attention.layer_norm_rms_epsilon");
  const bool fall_back = eps_if_missing && !metadata_.has(eps);
  c.norm_eps = static_cast<float>(fall_back ? *eps_if_missing : metadata_.real(eps, 1e-12, 1));
  c.query_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim)));
  c.rope_dim = metadata_.count_or(key("rope.dimension_count"), c.head_dim, 2, c.head_dim);
  if (c.rope_dim % 2 != 0) refuse("rope.dimension_count", std::to_string(c.rope_dim) + " is odd");
  c.ropes = {{metadata_.real_or(key("rope.freq_base"), 10000, 1e-3, kHuge), rope_factor()}};
  return c;
}

}  // namespace carat
