// Models of made-up weights, in memory: as fast as real ones of their shape, and quick to have.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/preset.h"

namespace carat {

// Zeroed pages, as large as those of a file's mapping: larger ones would be read faster than a file is.
class WeightMemory {
 public:
  explicit WeightMemory(std::size_t bytes);  // throws std::bad_alloc
  WeightMemory(WeightMemory&& other) noexcept;
  WeightMemory& operator=(WeightMemory&&) = delete;
  ~WeightMemory();
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

// The file looks into the memory.
struct SyntheticModel {
  WeightMemory memory;
  ModelFile file;
};

// Bytes that the tensors, types chosen, take in memory.
std::uint64_t synthetic_bytes(std::span<const FileTensor> tensors);

// Fills `tensors`, which are preset_tensors() with types whose blocks fit their rows. Matrices are noise around 0, of
// the variance that keeps the size of what they multiply; gains lie around 1, biases around 0. Nothing is NaN, infinite
// or denormal. The weights depend on the arguments and nothing else, on every machine. Throws std::bad_alloc.
SyntheticModel make_synthetic(const Preset& preset, std::vector<FileTensor> tensors, std::uint64_t seed = 1);

}  // namespace carat
