// How much memory a model takes, told before it runs, and whether this machine has it.
#pragma once
#include <cstdint>
#include <string>

#include "engine/file/model_file.h"
#include "engine/session.h"

namespace carat {

// Bytes. Weights lie in the system's cache of the file, but each token reads them all: a machine that cannot hold them
// would read them from its disk.
struct MemoryNeed {
  std::uint64_t weights = 0;
  std::uint64_t cache = 0;    // of keys and values, once the context is full
  std::uint64_t scratch = 0;  // of activations
  std::uint64_t total() const { return weights + cache + scratch; }
};

// Of `sequences` sessions at once. Throws Unsupported for a type of cache that does not fit the model.
MemoryNeed memory_need(const ModelFile& file, const ModelConfig& config, const SessionOptions& options,
                       std::size_t sequences = 1);

// The longest context up to that of `options`, a multiple of 256, for which `available` bytes are enough; 0: none is.
std::size_t longest_context(const ModelFile& file, const ModelConfig& config, SessionOptions options,
                            std::size_t sequences, std::uint64_t available);

// Throws Failure (resource), with the arithmetic and what would fit, where the machine has less left. A model that is
// on a GPU as a whole was measured when it was placed there.
void check_memory(const ModelFile& file, const Model& model, const SessionOptions& options, std::size_t sequences = 1);

// "1.5 GiB".
std::string size_name(std::uint64_t bytes);

}  // namespace carat
