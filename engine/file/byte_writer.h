// Bytes in the making: what ByteReader reads, the other way round.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/file/byte_reader.h"

namespace carat {

class ByteWriter {
 public:
  std::uint64_t position() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }

  void put(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  template <Number T>
  void write(T value) {
    put(std::as_bytes(std::span(&value, 1)));
  }

  void write_text(std::string_view text) {
    write(std::uint64_t{text.size()});
    put(std::as_bytes(std::span(text)));
  }

  // Zeros up to the next multiple of `alignment`.
  void pad(std::uint64_t alignment) { bytes_.resize(round_up(position(), alignment)); }

  std::vector<std::byte> finish() && { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace carat
