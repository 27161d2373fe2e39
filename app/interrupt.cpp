#include "app/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

#include "app/exit_code.h"

namespace carat {
namespace {

// The signals to take: those that the process was not started to ignore.
sigset_t wanted_signals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    ::sigaction(number, nullptr, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(&wanted, number);
  }
  return wanted;
}

int checked(int descriptor, const char* what) {
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
  return descriptor;
}

int make_event() { return checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"); }

void raise_event(int descriptor) { (void)!::write(descriptor, std::array<std::uint64_t, 1>{1}.data(), 8); }

void clear_event(int descriptor) {
  std::uint64_t count = 0;
  (void)!::read(descriptor, &count, sizeof count);
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t wanted = wanted_signals();
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  signals_ = checked(::signalfd(-1, &wanted, SFD_CLOEXEC), "signalfd");
  quit_ = make_event();
  thread_ = std::thread([this] { serve(); });
}

Interrupt::~Interrupt() {
  raise_event(quit_);
  thread_.join();
  ::close(quit_);
  ::close(signals_);
}

void Interrupt::serve() {
  std::array<pollfd, 2> events = {pollfd{signals_, POLLIN, 0}, pollfd{quit_, POLLIN, 0}};
  while (events[1].revents == 0) {
    if (::poll(events.data(), events.size(), -1) < 0) continue;  // EINTR: a debugger
    signalfd_siginfo info;
    if (events[0].revents != 0 && ::read(signals_, &info, sizeof info) == sizeof info) {
      take(static_cast<int>(info.ssi_signo));
    }
  }
}

void Interrupt::take(int signal) {
  const std::lock_guard lock(mutex_);
  const bool again = watch_ != nullptr && watch_->signal_ != 0 && signal == SIGINT;
  if (watch_ == nullptr || again) ::_exit(kExitSignal + signal);
  watch_->signal_ = signal;
  watch_->source_.request_stop();
  raise_event(watch_->descriptor_);
}

Interrupt::Watch::Watch(Interrupt& interrupt) : interrupt_(interrupt), descriptor_(make_event()) {
  const std::lock_guard lock(interrupt_.mutex_);
  interrupt_.watch_ = this;
}

Interrupt::Watch::~Watch() {
  {
    const std::lock_guard lock(interrupt_.mutex_);
    interrupt_.watch_ = nullptr;
  }
  ::close(descriptor_);
}

std::stop_token Interrupt::Watch::token() const {
  const std::lock_guard lock(interrupt_.mutex_);
  return source_.get_token();
}

int Interrupt::Watch::signal() const {
  const std::lock_guard lock(interrupt_.mutex_);
  return signal_;
}

void Interrupt::Watch::renew() {
  const std::lock_guard lock(interrupt_.mutex_);
  if (signal_ != SIGINT) return;
  signal_ = 0;
  source_ = std::stop_source();
  clear_event(descriptor_);
}

}  // namespace carat
