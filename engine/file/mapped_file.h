// A file in memory, read-only, without reading it: pages come when they are touched.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

namespace carat {

// Owns the mapping. A file that another program shortens meanwhile ends the process (SIGBUS), as with every mapping.
class MappedFile {
 public:
  MappedFile() = default;  // maps nothing
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Throws BadFile unless `path` is a regular file with at least one byte that may be read. Never blocks on a pipe.
  static MappedFile open(const std::filesystem::path& path);

  // Starts at a page; stays where it is when the MappedFile moves.
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace carat
