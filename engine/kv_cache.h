// The keys and values of the positions seen so far.
#pragma once
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/model.h"

namespace carat {

// What keys and values are kept in. Throws Unsupported, from KvCache, for a type that no cache is kept in or that does
// not fit the model's heads.
struct CacheTypes {
  DType k = DType::f16, v = DType::f16;
};
inline constexpr std::array kCacheTypes = {DType::f16, DType::bf16, DType::q8_0, DType::f32};

// By its name; none: no cache is kept in that.
std::optional<DType> find_cache_type(std::string_view name);

// Each layer's lie on the layer's backend. A layer that sees all positions keeps `context` of them. A layer with a
// window is a ring of the window and one batch more: while a batch is being fed, its first row still finds the whole
// window before it.
class KvCache {
 public:
  KvCache(const Model& model, const CacheTypes& types, std::size_t sequences, std::size_t context, std::size_t batch);

  const KvLayer& layer(std::size_t i) const { return layers_[i]; }

  // Whether a sequence that has reached `end` can go on from `position` instead: nothing that its windows need has
  // been overwritten.
  bool can_rewind(std::size_t end, std::size_t position) const;

  // The rows that the first sequence, up to `end`, lies in: keys and values of each layer. As long as neither window
  // nor context is exceeded, they are the same for any context.
  std::vector<Tensor> written(std::size_t end) const;

  // Bytes when full.
  std::size_t bytes() const;
  // The same of a cache that is not there yet.
  static std::size_t bytes(const ModelConfig& config, const CacheTypes& types, std::size_t sequences,
                           std::size_t context, std::size_t batch);

 private:
  std::vector<KvLayer> layers_;
  std::vector<std::size_t> windows_;  // 0 = all
};

}  // namespace carat
