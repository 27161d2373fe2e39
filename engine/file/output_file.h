// A file being written: the target appears whole, or not at all.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

namespace carat {

enum class Existing { replace, keep };  // what to do with a file that is there already

// Writes to a temporary file beside the target; `commit` puts it in the target's place. Without a commit the temporary
// file goes, and an older target stays as it was. Where the file system can do it the temporary file has no name, so
// that even a process that is killed leaves nothing behind. Every failure throws Error.
class OutputFile {
 public:
  // With Existing::keep, a target that exists is an error, now and at `commit`. Whatever is no regular file is one
  // always; a link is followed.
  explicit OutputFile(std::filesystem::path target, Existing existing = Existing::replace);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  std::uint64_t position() const { return position_; }

  // Unbuffered: hand over large pieces.
  void write(std::span<const std::byte> bytes);

  // Under which what is written so far can be opened and read, until `commit`.
  std::filesystem::path unfinished() const;

  // To the disk, then over the target, then the directory entry to the disk. Once, after the last write.
  void commit();

 private:
  void check_target();
  void create_nameless();
  void create_named();
  void put_in_place();
  void give_name();
  [[noreturn]] void fail(const char* what) const;  // reads errno

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty while the file has no name
  Existing existing_;
  std::optional<mode_t> mode_;  // of the file that is replaced
  int file_ = -1;
  std::uint64_t position_ = 0;
};

}  // namespace carat
