// What a token costs, whatever it is computed with: bytes to be read, numbers to be multiplied.
#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/kv_cache.h"
#include "engine/model.h"

namespace carat {

// Bytes of weights and of cached keys and values that must be read to decode the token at `position`.
std::uint64_t decode_bytes(const Model& model, std::size_t position, const CacheTypes& cache = {});

// Operations to read `tokens` tokens from `position` on, of which the last one's logits are wanted: two for each
// product and its sum, of matrices and of attention.
double prefill_operations(const Model& model, std::size_t position, std::size_t tokens);

}  // namespace carat
