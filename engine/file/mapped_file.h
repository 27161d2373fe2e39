// A file in memory, read-only: without reading it, so that pages come when they are touched, or read at once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace carat {

// How a file comes to lie in memory.
struct Loading {
  bool copies = false;  // read at once into memory of its own, instead of mapped
  bool locks = false;   // all of it, now, and it is never written to a swap device
};

// Owns the mapping. A file that another program shortens meanwhile ends the process (SIGBUS) when its bytes are
// touched, as with every mapping; `read` throws instead.
class MappedFile {
 public:
  MappedFile() = default;  // maps nothing
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Throws BadFile unless `path` is a regular file with at least one byte that may be read, and NoResource where there
  // is no room for it among the addresses, or it may not be locked. Never blocks on a pipe.
  static MappedFile open(const std::filesystem::path& path, const Loading& loading = {});

  // Starts at a page; stays where it is when the MappedFile moves.
  std::span<const std::byte> bytes() const { return bytes_; }

  const Loading& loading() const { return loading_; }

  // Copies from `offset` on, without the mapping. Any number of threads may read at once. Throws BadFile, without the
  // name of the file, when the bytes are not there (any more).
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  void fill(const std::filesystem::path& path);  // its memory, from the file

  std::span<const std::byte> bytes_;
  int file_ = -1;
  Loading loading_;
};

}  // namespace carat
