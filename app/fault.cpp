#include "app/fault.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <exception>
#include <fstream>
#include <new>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

#include "app/exit_code.h"

namespace carat {
namespace {

using Kind = Fault::Kind;

constexpr time_t kPatience = 5;  // seconds

// What goes through the pipe.
struct Record {
  Kind kind;
  std::uintptr_t address;  // of Kind::file_lost
};

// The other end of the pipe: a handler has nothing but globals.
std::atomic<int> record_sink = -1;

int exit_code_of(Kind kind) {
  return kind == Kind::file_lost ? kExitModel : kind == Kind::out_of_memory ? kExitResource : kExitError;
}

[[noreturn]] void end_now(Kind kind) {
  say_plainly(kind == Kind::file_lost       ? "carat: error: a file in use cannot be read any more\n"
              : kind == Kind::out_of_memory ? "carat: error: not enough memory\n"
                                            : "carat: error: internal, version " CARAT_VERSION "\n");
  ::_exit(exit_code_of(kind));
}

// Calls only what a handler may.
[[noreturn]] void wait_for_the_end(Kind kind, std::uintptr_t address) {
  const Record record{kind, address};
  const int sink = record_sink.load();
  if (sink >= 0 && ::write(sink, &record, sizeof record) == ssize_t{sizeof record}) {
    timespec rest{kPatience, 0};
    while (::nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
  }
  end_now(kind);
}

void on_signal(int signal, siginfo_t* info, void*) {
  if (info->si_code == SI_USER) end_now(Kind::bug);  // from another process: no thread of ours stands where it came
  const bool is_of_a_file = signal == SIGBUS && (info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR);
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  wait_for_the_end(is_of_a_file ? Kind::file_lost : Kind::bug, is_of_a_file ? address : 0);
}

constexpr std::array kSignals = {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGABRT};

struct Place {
  std::string path;
  std::uint64_t offset = 0;
};

// The file that is mapped at an address. None where there is none, or no /proc.
std::optional<Place> find_mapping(std::uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);  // "7f00-8f00 r--p 00001000 08:01 1234   /a path"
    std::uintptr_t begin = 0, end = 0;
    Place place;
    std::string rights, device, inode;
    char dash = 0;
    fields >> std::hex >> begin >> dash >> end >> rights >> place.offset >> device >> inode >> std::ws;
    if (!fields || address < begin || address >= end) continue;
    std::getline(fields, place.path);
    place.offset += address - begin;
    if (inode == "0") return std::nullopt;
    return place;
  }
  return std::nullopt;
}

// "file: at byte 4096: reason"
std::string loss_at(std::uintptr_t address) {
  const std::optional<Place> place = find_mapping(address);
  if (!place) return "a file in use cannot be read any more";
  struct stat status {};
  const bool is_cut = ::stat(place->path.c_str(), &status) == 0 && std::uint64_t(status.st_size) <= place->offset;
  return place->path + ": at byte " + std::to_string(place->offset) +
         (is_cut ? ": ends before: it was cut short while it was used" : ": cannot be read any more");
}

}  // namespace

int Fault::exit_code() const { return exit_code_of(kind); }

Faults::Faults() {
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
  faults_ = ends[0];
  record_sink = ends[1];
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  for (const int signal : kSignals) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (signal == SIGBUS || before.sa_handler == SIG_DFL) ::sigaction(signal, &action, nullptr);
  }
}

Faults::~Faults() {
  for (const int signal : kSignals) {
    struct sigaction now {};
    ::sigaction(signal, nullptr, &now);
    if (now.sa_sigaction == on_signal) ::signal(signal, SIG_DFL);
  }
  ::close(record_sink.exchange(-1));
  ::close(faults_);
}

Fault Faults::take() const {
  Record record{Kind::bug, 0};
  (void)!::read(faults_, &record, sizeof record);
  if (record.kind == Kind::file_lost) return {record.kind, loss_at(record.address)};
  if (record.kind == Kind::out_of_memory) return {record.kind, "not enough memory"};
  return {record.kind, "internal, version " CARAT_VERSION};
}

void end_unhandled() {
  Kind kind = Kind::bug;
  try {
    if (const auto failure = std::current_exception()) std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    kind = Kind::out_of_memory;
  } catch (...) {
  }
  wait_for_the_end(kind, 0);
}

void say_plainly(std::string_view line) { (void)!::write(STDERR_FILENO, line.data(), line.size()); }

}  // namespace carat
