// Reading back what was written, to compare it with what was encoded.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string>

#include "convert/encoder.h"
#include "engine/file/output_file.h"

namespace carat {

// Bytes as one number, to know them again, in whatever pieces they come.
class Digest {
 public:
  void add(std::span<const std::byte> bytes);

  // Passes on to `sink`, and adds, what it is given.
  ByteSink passing(const ByteSink& sink) {
    return [this, sink](std::span<const std::byte> bytes) {
      add(bytes);
      sink(bytes);
    };
  }

  bool operator==(const Digest&) const = default;

 private:
  void mix(std::uint64_t word);

  std::uint64_t state_ = 0xCBF29CE484222325u;
  std::array<std::byte, 8> rest_ = {};  // of a word that is not complete
  std::size_t rest_bytes_ = 0;
};

// Throws BadFile when a tensor's `bytes`, as found in the file, have another digest. `target` is its name in messages.
void verify_tensor(const std::string& name, std::span<const std::byte> bytes, const Digest& digest,
                   const std::filesystem::path& target, const std::stop_token& stop);

}  // namespace carat
