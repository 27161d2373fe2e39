#include "engine/kv_cache.h"

#include <algorithm>

namespace carat {

KvCache::KvCache(const ModelConfig& config, Backend& backend, std::size_t sequences, std::size_t context,
                 std::size_t batch) {
  const std::size_t cols = config.kv_heads * config.head_dim;
  for (const LayerConfig& layer : config.layers) {
    const std::size_t slots = layer.window == 0 ? context : std::min(context, layer.window + batch);
    layers_.push_back(
        {backend.make(DType::f16, sequences * slots, cols), backend.make(DType::f16, sequences * slots, cols), slots});
    windows_.push_back(slots == context ? 0 : layer.window);
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

std::size_t KvCache::bytes() const {
  std::size_t total = 0;
  for (const KvLayer& layer : layers_) total += byte_size(layer.k) + byte_size(layer.v);
  return total;
}

}  // namespace carat
