// The keys and values of the positions seen so far.
#pragma once
#include <vector>

#include "engine/model_config.h"
#include "kernels/backend.h"

namespace carat {

// A layer that sees all positions keeps `context` of them. A layer with a window is a ring of the window and one batch
// more: while a batch is being fed, its first row still finds the whole window before it.
class KvCache {
 public:
  KvCache(const ModelConfig& config, Backend& backend, std::size_t sequences, std::size_t context, std::size_t batch);

  const KvLayer& layer(std::size_t i) const { return layers_[i]; }

  // Whether a sequence that has reached `end` can go on from `position` instead: nothing that its windows need has
  // been overwritten.
  bool can_rewind(std::size_t end, std::size_t position) const;

  // Bytes when full.
  std::size_t bytes() const;

 private:
  std::vector<KvLayer> layers_;
  std::vector<std::size_t> windows_;  // 0 = all
};

}  // namespace carat
