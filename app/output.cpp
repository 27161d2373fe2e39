#include "app/output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "app/failure.h"
#include "app/terminal.h"
#include "engine/error.h"

namespace carat {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(100);
constexpr std::size_t kMaxPending = std::size_t{1} << 16;

// The error that ended it, 0 when all is written.
int write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // somebody who shares the pipe made it so
      pollfd ready{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

Output::Output() : is_terminal_(isatty(STDOUT_FILENO) == 1), flushed_(Clock::now()) {}

Output::~Output() { (void)write_all(pending_); }

void Output::write(std::string_view text) {
  const std::lock_guard lock(mutex_);
  pending_ += text;
  if (is_terminal_ || pending_.size() >= kMaxPending || Clock::now() - flushed_ >= kPatience) write_pending();
}

void Output::flush() {
  const std::lock_guard lock(mutex_);
  write_pending();
}

// With the mutex held.
void Output::write_pending() {
  const int error = write_all(pending_);
  pending_.clear();
  flushed_ = Clock::now();
  if (error == EPIPE || error == EBADF) throw OutputClosed();
  if (error == EIO && is_terminal_) return tell_hang_up();  // whoever works is to end as at any hang-up
  if (error != 0) throw Error(std::string("standard output: cannot be written: ") + std::strerror(error));
}

void print(std::string_view text) {
  Output output;
  output.write(text);
  output.flush();
}

}  // namespace carat
