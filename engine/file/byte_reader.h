// A cursor over untrusted bytes: the bounds checks of every file format are made here.
#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "engine/error.h"

namespace carat {

static_assert(std::endian::native == std::endian::little, "files are little-endian and are read as they lie");

template <class T>
concept Number = (std::integral<T> && !std::same_as<T, bool>) || std::floating_point<T>;

// `alignment` is a power of two, and the result fits.
constexpr std::uint64_t round_up(std::uint64_t position, std::uint64_t alignment) {
  return (position + alignment - 1) & ~(alignment - 1);
}

// Callers write no bounds checks of their own. Whatever leaves the file throws BadFile.
class ByteReader {
 public:
  // Copies neither: `bytes` and `file`, the name used in messages, outlive the reader and what it hands out.
  ByteReader(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  std::uint64_t position() const { return at_; }
  std::uint64_t remaining() const { return bytes_.size() - at_; }

  std::span<const std::byte> take(std::uint64_t count) {
    last_ = at_;
    if (count > remaining())
      fail("needs " + std::to_string(count) + " bytes, but " + std::to_string(remaining()) + " are left");
    at_ += count;
    return bytes_.subspan(last_, count);
  }

  void skip(std::uint64_t count) { take(count); }

  template <Number T>
  T read() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  // A count of things that each take at least `min_bytes`: cannot promise more than the file holds.
  std::uint64_t read_count(std::uint64_t min_bytes) {
    const auto count = read<std::uint64_t>();
    if (count > remaining() / min_bytes)
      fail("a count of " + std::to_string(count) + " is more than the " + std::to_string(remaining()) +
           " bytes left can hold");
    return count;
  }

  // A u64 of the length, then as many bytes: any bytes, zeros and broken UTF-8 among them.
  std::string_view read_text() {
    const auto text = take(read_count(1));
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  // What was read since the cursor stood at `start`.
  std::span<const std::byte> since(std::uint64_t start) const { return bytes_.subspan(start, at_ - start); }

  // "file: at byte N: ", where N is the start of what was read last.
  std::string place() const { return std::string(file_) + ": at byte " + std::to_string(last_) + ": "; }

  [[noreturn]] void fail(std::string_view why) const { throw BadFile(place() + std::string(why)); }

 private:
  std::span<const std::byte> bytes_;
  std::string_view file_;
  std::uint64_t at_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace carat
