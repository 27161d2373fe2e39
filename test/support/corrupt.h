// Ways to spoil a file. Each spoilt copy has its own allocation, so that AddressSanitizer sees a read past its end.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace carat::test {

using Bytes = std::vector<std::byte>;

// visit(Bytes) with each proper prefix, the empty one first.
template <class Visit>
void for_each_prefix(const Bytes& whole, Visit visit) {
  for (std::size_t n = 0; n < whole.size(); ++n) visit(Bytes(whole.data(), whole.data() + n));
}

// visit(Bytes) with each of the first `count` bytes replaced by each of the 255 other values.
template <class Visit>
void for_each_flip(const Bytes& whole, std::size_t count, Visit visit) {
  for (std::size_t at = 0; at < count; ++at) {
    for (unsigned change = 1; change < 256; ++change) {
      Bytes spoilt = whole;
      spoilt[at] ^= static_cast<std::byte>(change);
      visit(spoilt);
    }
  }
}

// visit(Bytes) with the T at each of the first `count` places set to 0, the largest, the largest signed and its
// successor, one more and one less than it is, and the values around the size of the file.
template <class T, class Visit>
void for_each_extreme(const Bytes& whole, std::size_t count, Visit visit) {
  constexpr T kMax = std::numeric_limits<T>::max();
  constexpr T kHalf = static_cast<T>(kMax / 2);
  const auto size = static_cast<T>(whole.size());
  for (std::size_t at = 0; at + sizeof(T) <= count; ++at) {
    T found;
    std::memcpy(&found, whole.data() + at, sizeof found);
    const T values[] = {0,
                        kMax,
                        static_cast<T>(kMax - 1),
                        kHalf,
                        static_cast<T>(kHalf + 1),
                        static_cast<T>(found + 1),
                        static_cast<T>(found - 1),
                        static_cast<T>(size - 1),
                        size,
                        static_cast<T>(size + 1)};
    for (const T value : values) {
      Bytes spoilt = whole;
      std::memcpy(spoilt.data() + at, &value, sizeof value);
      visit(spoilt);
    }
  }
}

}  // namespace carat::test
