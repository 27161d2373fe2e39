#include "engine/kv_cache.h"

#include <algorithm>
#include <string>

#include "engine/error.h"

namespace carat {

namespace {

void check_type(DType type, std::size_t head_dim) {
  const std::string name(info(type).name);
  if (std::ranges::find(kCacheTypes, type) == kCacheTypes.end())
    throw Unsupported("a cache of " + name + " is not supported; f16, bf16, q8_0 and f32 are");
  if (head_dim % info(type).block != 0)
    throw Unsupported("a cache of " + name + " needs heads of a multiple of " + std::to_string(info(type).block) +
                      " elements; this model's have " + std::to_string(head_dim));
}

// Positions that a layer keeps.
std::size_t slots_of(const LayerConfig& layer, std::size_t context, std::size_t batch) {
  return layer.window == 0 ? context : std::min(context, layer.window + batch);
}

}  // namespace

std::optional<DType> find_cache_type(std::string_view name) {
  const auto* const found = std::ranges::find(kCacheTypes, name, [](DType type) { return info(type).name; });
  return found == kCacheTypes.end() ? std::nullopt : std::optional(*found);
}

KvCache::KvCache(const Model& model, const CacheTypes& types, std::size_t sequences, std::size_t context,
                 std::size_t batch) {
  const ModelConfig& config = model.config;
  check_type(types.k, config.head_dim);
  check_type(types.v, config.head_dim);
  const std::size_t cols = config.kv_heads * config.head_dim;
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const std::size_t slots = slots_of(config.layers[i], context, batch);
    Backend& backend = model.backend_of(i);
    layers_.push_back(
        {backend.make(types.k, sequences * slots, cols), backend.make(types.v, sequences * slots, cols), slots});
    windows_.push_back(slots == context ? 0 : config.layers[i].window);
  }
}

bool KvCache::can_rewind(std::size_t end, std::size_t position) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (windows_[i] == 0 || end <= layers_[i].slots) continue;
    const std::size_t oldest = end - layers_[i].slots;  // the first position still there
    const std::size_t needed = position + 1 > windows_[i] ? position + 1 - windows_[i] : 0;
    if (needed < oldest) return false;
  }
  return true;
}

std::vector<Tensor> KvCache::written(std::size_t end) const {
  std::vector<Tensor> parts;
  for (const KvLayer& layer : layers_) {
    const std::size_t rows = std::min(end, layer.slots);
    parts.push_back(row_view(layer.k, 0, rows));
    parts.push_back(row_view(layer.v, 0, rows));
  }
  return parts;
}

std::size_t KvCache::bytes() const {
  std::size_t total = 0;
  for (const KvLayer& layer : layers_) total += byte_size(layer.k) + byte_size(layer.v);
  return total;
}

std::size_t KvCache::bytes(const ModelConfig& config, const CacheTypes& types, std::size_t sequences,
                           std::size_t context, std::size_t batch) {
  check_type(types.k, config.head_dim);
  check_type(types.v, config.head_dim);
  const std::size_t cols = config.kv_heads * config.head_dim;
  std::size_t slots = 0;
  for (const LayerConfig& layer : config.layers) slots += slots_of(layer, context, batch);
  return sequences * slots * (row_bytes(types.k, cols) + row_bytes(types.v, cols));
}

}  // namespace carat
