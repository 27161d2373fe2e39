#include "engine/file/output_file.h"

#include <fcntl.h>
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

}  // namespace

OutputFile::OutputFile(std::filesystem::path target) : target_(std::move(target)) {
  // A name left over by a killed process of the same number is passed over.
  for (int attempt = 0; file_ < 0 && attempt < 100; ++attempt) {
    temporary_ = target_;
    temporary_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0 && errno != EEXIST) break;
  }
  if (file_ < 0) fail("cannot be created");
}

OutputFile::~OutputFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
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
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be put in place");
  ::close(std::exchange(file_, -1));
  sync_directory(target_.parent_path());
}

void OutputFile::fail(const char* what) const {
  const std::string why = std::generic_category().message(errno);
  throw BadFile(target_.string() + ": at byte " + std::to_string(position_) + ": " + what + ": " + why);
}

}  // namespace carat
