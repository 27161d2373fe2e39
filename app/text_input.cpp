#include "app/text_input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "app/failure.h"
#include "app/log.h"
#include "app/terminal.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

constexpr int kPatienceMs = 2000;
constexpr std::size_t kMaxText = std::size_t{256} << 20;
constexpr const char* kStdin = "standard input";

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(number_); }
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void refuse(const std::string& name) {
  const int error = errno;
  throw BadUsage(name + ": cannot be read: " + std::strerror(error));
}

// Appends what one read brings; false at the end.
bool read_some(int descriptor, const std::string& name, std::string& text) {
  std::array<char, 65536> bytes;
  for (;;) {
    const ssize_t count = ::read(descriptor, bytes.data(), bytes.size());
    if (count >= 0) {
      text.append(bytes.data(), static_cast<std::size_t>(count));
      return count > 0;
    }
    if (errno == EAGAIN) {
      pollfd ready{descriptor, POLLIN, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      refuse(name);
    }
  }
}

std::string read_all(int descriptor, const std::string& name) {
  std::string text;
  while (read_some(descriptor, name, text)) {
    if (text.size() > kMaxText)
      throw BadUsage(name + ": is longer than " + std::to_string(kMaxText >> 20) + " MiB, which no model reads");
  }
  return text;
}

}  // namespace

std::string read_text(const std::string& path) {
  if (path == "-") return read_stdin(false);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) refuse(path);
  return read_all(file.number(), path);
}

std::string source_name(const std::string& path) { return path == "-" ? kStdin : path; }

std::string read_stdin(bool notes_waiting) {
  pollfd ready{STDIN_FILENO, POLLIN, 0};
  if (notes_waiting && ::poll(&ready, 1, kPatienceMs) == 0) {
    log_note("waiting for standard input (use --no-stdin if none is meant)");
  }
  return read_all(STDIN_FILENO, kStdin);
}

bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }

bool stdin_is_redirected() {
  struct stat status {};
  return ::fstat(STDIN_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
}

void check_text(std::string_view text, std::string_view source) {
  const std::size_t valid = valid_utf8_prefix(text);
  const std::size_t nul = text.find('\0');
  const auto refuse_at = [source](std::size_t at, const char* what) {
    throw BadUsage(std::string(source) + ": at byte " + std::to_string(at) + ": " + what);
  };
  if (nul < valid) refuse_at(nul, "a NUL, which no text has");
  if (valid < text.size()) refuse_at(valid, "not UTF-8");
}

LineInput::Event LineInput::next(std::string& line, int interrupt) {
  for (;;) {
    const std::size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return Event::line;
    }
    std::array<pollfd, 2> events = {pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{interrupt, POLLIN, 0}};
    ::poll(events.data(), events.size(), -1);
    if (events[1].revents != 0) {
      pending_.clear();  // the terminal has dropped what was typed, too
      return Event::interrupted;
    }
    if (events[0].revents == 0) continue;
    if (is_terminal_ && (events[0].revents & POLLHUP) != 0) {
      tell_hang_up();
      return ::poll(&events[1], 1, kPatienceMs) > 0 ? Event::interrupted : Event::end;  // unless it is ignored
    }
    const bool hung_up = (events[0].revents & POLLIN) == 0;
    if (!hung_up && read_some(STDIN_FILENO, kStdin, pending_)) continue;
    if (pending_.empty()) return Event::end;
    line = std::move(pending_);
    pending_.clear();
    return Event::line;
  }
}

}  // namespace carat
