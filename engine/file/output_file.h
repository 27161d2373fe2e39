// A file being written: the target appears whole, or not at all.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace carat {

// Writes to a temporary file beside the target; `commit` puts it in the target's place. Without a commit the
// destructor removes the temporary file, and an older target stays as it was. Every failure throws BadFile.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path target);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  std::uint64_t position() const { return position_; }

  // Unbuffered: hand over large pieces.
  void write(std::span<const std::byte> bytes);

  // To the disk, then over the target, then the directory entry to the disk. Once, after the last write.
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;  // reads errno

  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int file_ = -1;
  std::uint64_t position_ = 0;
};

}  // namespace carat
