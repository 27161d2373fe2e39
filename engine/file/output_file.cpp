#include "engine/file/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "engine/error.h"

namespace carat {

namespace {

// Linux writes at most 0x7ffff000 bytes at once (write(2)).
constexpr std::size_t kMaxWrite = std::size_t{1} << 30;

// Best effort: some file systems cannot do it, and the file itself is safe by then.
void sync_directory(const std::filesystem::path& directory) {
  const int opened = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  ::fsync(opened);
  ::close(opened);
}

std::filesystem::path temporary_name(std::filesystem::path target, int attempt) {
  target += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
  return target;
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path target, Existing existing)
    : target_(std::move(target)), existing_(existing) {
  check_target();
  create_nameless();
  if (file_ < 0) create_named();
  if (file_ < 0) fail("cannot be created");
  // As open to others as what it replaces; a file system that knows no modes may refuse.
  if (mode_) (void)!::fchmod(file_, *mode_);
}

// Only a file may be replaced: not a folder, and not a device, which a rename would remove.
void OutputFile::check_target() {
  struct stat found {};
  if (existing_ == Existing::keep && ::lstat(target_.c_str(), &found) == 0) {
    errno = EEXIST;
    fail("is not replaced");
  }
  const bool is_there = ::stat(target_.c_str(), &found) == 0;
  if (!is_there && errno != ENOENT) fail("cannot be created");
  // The file that a link leads to, not the link; it may lead to none yet.
  while (std::filesystem::is_symlink(target_)) target_ = target_.parent_path() / std::filesystem::read_symlink(target_);
  if (!is_there) return;
  if (!S_ISREG(found.st_mode)) throw Error(target_.string() + ": is not a regular file, and is not replaced");
  mode_ = found.st_mode & 0777;
}

OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

// A file that ends with its last descriptor. It gets its name by way of /proc (open(2), O_TMPFILE).
void OutputFile::create_nameless() {
  const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
  file_ = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (file_ >= 0 && ::access(unfinished().c_str(), F_OK) != 0) ::close(std::exchange(file_, -1));
}

void OutputFile::create_named() {
  // A name left over by a killed process of the same number is passed over.
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = temporary_name(target_, attempt);
    file_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ >= 0) return;
    if (errno != EEXIST) break;
  }
  temporary_.clear();
}

std::filesystem::path OutputFile::unfinished() const {
  if (!temporary_.empty()) return temporary_;
  return "/proc/self/fd/" + std::to_string(file_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), std::min(bytes.size(), kMaxWrite));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    position_ += static_cast<std::uint64_t>(written);
  }
}

void OutputFile::commit() {
  if (::fsync(file_) != 0) fail("cannot be written to the disk");
  put_in_place();
  ::close(std::exchange(file_, -1));
  sync_directory(target_.parent_path());
}

void OutputFile::put_in_place() {
  if (existing_ == Existing::keep) {  // a link, unlike a rename, never replaces
    if (::linkat(AT_FDCWD, unfinished().c_str(), AT_FDCWD, target_.c_str(), AT_SYMLINK_FOLLOW) == 0) return;
    fail(errno == EEXIST ? "is not replaced" : "cannot be put in place");
  }
  if (temporary_.empty()) give_name();
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be put in place");
  temporary_.clear();
}

// Only a file with a name can replace another.
void OutputFile::give_name() {
  const std::filesystem::path nameless = unfinished();
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::filesystem::path name = temporary_name(target_, attempt);
    if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = name;
      return;
    }
    if (errno != EEXIST) break;
  }
  fail("cannot be put in place");
}

void OutputFile::fail(const char* what) const {
  const std::string why = std::generic_category().message(errno);
  const std::string where = position_ == 0 ? "" : "at byte " + std::to_string(position_) + ": ";
  throw Error(target_.string() + ": " + where + what + ": " + why);
}

}  // namespace carat
