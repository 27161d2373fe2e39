#include "engine/file/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "engine/error.h"

namespace carat {

namespace {

// Closes when it leaves the scope, unless it was handed on.
struct Descriptor {
  int number;
  explicit Descriptor(int opened) : number(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw BadFile(path.string() + ": " + why);
}

std::string last_error() { return std::generic_category().message(errno); }

}  // namespace

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), file_(std::exchange(other.file_, -1)), loading_(other.loading_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(file_, other.file_);
  std::swap(loading_, other.loading_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (file_ >= 0) ::close(file_);
}

void MappedFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(file_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw BadFile("at byte " + std::to_string(offset) + ": cannot be read: " + last_error());
    if (got == 0) throw BadFile("at byte " + std::to_string(offset) + ": ends here: it was cut short meanwhile");
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

MappedFile MappedFile::open(const std::filesystem::path& path, const Loading& loading) {
  // Without O_NONBLOCK, opening a pipe waits for its other end.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.number < 0) refuse(path, "cannot be opened: " + last_error());
  struct stat status {};
  if (::fstat(file.number, &status) != 0) refuse(path, "cannot be examined: " + last_error());
  if (S_ISDIR(status.st_mode)) refuse(path, "is a directory, not a file");
  if (!S_ISREG(status.st_mode)) refuse(path, "is not a regular file");
  if (status.st_size == 0) refuse(path, "is empty");

  const auto size = static_cast<std::size_t>(status.st_size);
  void* start = loading.copies
                    ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                    : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (start == MAP_FAILED && errno == ENOMEM)
    throw NoResource(path.string() + ": no room to map " + std::to_string(size) + " bytes: " + last_error());
  if (start == MAP_FAILED) refuse(path, "cannot be mapped: " + last_error());
  MappedFile mapped;
  mapped.bytes_ = {static_cast<const std::byte*>(start), size};
  mapped.file_ = std::exchange(file.number, -1);
  mapped.loading_ = loading;
  if (loading.copies) mapped.fill(path);
  if (loading.locks && ::mlock(start, size) != 0)
    throw NoResource(path.string() + ": " + std::to_string(size) +
                     " bytes cannot be locked in memory: " + last_error());
  return mapped;
}

void MappedFile::fill(const std::filesystem::path& path) {
  auto* const start = const_cast<std::byte*>(bytes_.data());
  (void)::madvise(start, bytes_.size(), MADV_HUGEPAGE);  // fewer, larger pages are found sooner; where there are any
  try {
    read(0, {start, bytes_.size()});
  } catch (const BadFile& e) {
    refuse(path, e.what());
  }
  (void)::mprotect(start, bytes_.size(), PROT_READ);
}

}  // namespace carat
