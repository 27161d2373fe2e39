// CRC-32 of IEEE 802.3, reflected: whether a file is as it was written.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace carat {

inline constexpr auto kCrc32Table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0u);
    table[i] = value;
  }
  return table;
}();

// Of what `before` is of (0: nothing), and then `bytes`.
inline std::uint32_t crc32(std::uint32_t before, std::span<const std::byte> bytes) {
  std::uint32_t value = ~before;
  for (const std::byte byte : bytes)
    value = kCrc32Table[(value ^ std::to_integer<std::uint32_t>(byte)) & 0xff] ^ value >> 8;
  return ~value;
}

}  // namespace carat
