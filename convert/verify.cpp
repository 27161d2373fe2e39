#include "convert/verify.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/error.h"
#include "engine/file/quote.h"

namespace carat {

void Digest::add(std::span<const std::byte> bytes) {
  while (!bytes.empty() && (rest_bytes_ > 0 || bytes.size() < 8)) {
    rest_[rest_bytes_++] = bytes.front();
    bytes = bytes.subspan(1);
    if (rest_bytes_ < 8) continue;
    mix(std::bit_cast<std::uint64_t>(rest_));
    rest_ = {};
    rest_bytes_ = 0;
  }
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    mix(word);
  }
  if (i < bytes.size()) add(bytes.subspan(i));
}

// FNV-1a on words, with a rotation so that high bits reach low ones.
void Digest::mix(std::uint64_t word) { state_ = std::rotl((state_ ^ word) * 0x100000001B3u, 29); }

void verify_tensor(const std::string& name, std::span<const std::byte> bytes, const Digest& digest,
                   const std::filesystem::path& target, const std::stop_token& stop) {
  constexpr std::size_t kPiece = std::size_t{1} << 24;
  Digest found;
  for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
    if (stop.stop_requested()) throw Cancelled();
    found.add(bytes.subspan(at, std::min(kPiece, bytes.size() - at)));
  }
  if (found != digest)
    throw BadFile(target.string() + ": tensor " + quote(name) + ": reads back other than it was written");
}

}  // namespace carat
