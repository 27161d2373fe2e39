// A target as libFuzzer calls it.
#include <cstdint>
#include <cstring>

#include "test/fuzz/target.h"

extern "C" {

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of its own, so that a read past the end is seen.
  const carat::fuzz::Bytes input(reinterpret_cast<const std::byte*>(data),
                                 reinterpret_cast<const std::byte*>(data) + size);
  carat::fuzz::run(input);
  return 0;
}

// Half of the mutants keep the structure.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  if (random() % 2 == 0) {
    const carat::fuzz::Bytes changed = carat::fuzz::mutated({reinterpret_cast<const std::byte*>(data), size}, random);
    if (!changed.empty() && changed.size() <= max_size) {
      std::memcpy(data, changed.data(), changed.size());
      return changed.size();
    }
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

}  // extern "C"
