// A file in memory, read-only, without reading it: pages come when they are touched.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace carat {

// Owns the mapping. A file that another program shortens meanwhile raises SIGBUS when its bytes are touched, as with
// every mapping: that is for the program to take (app/fault.h); `read` throws instead.
class MappedFile {
 public:
  MappedFile() = default;  // maps nothing
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Throws BadFile unless `path` is a regular file with at least one byte that may be read, and NoResource where there
  // is no room for it among the addresses. Never blocks on a pipe.
  static MappedFile open(const std::filesystem::path& path);

  // Starts at a page; stays where it is when the MappedFile moves.
  std::span<const std::byte> bytes() const { return bytes_; }

  // Copies from `offset` on, without the mapping. Any number of threads may read at once. Throws BadFile, without the
  // name of the file, when the bytes are not there (any more).
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::span<const std::byte> bytes_;
  int file_ = -1;
};

}  // namespace carat
