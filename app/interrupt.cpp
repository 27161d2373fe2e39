#include "app/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <system_error>

#include "app/exit_code.h"
#include "app/log.h"

namespace carat {
namespace {

using Kind = Ending::Kind;

constexpr auto kLastWords = std::chrono::milliseconds(200);
constexpr auto kUnhurried = std::chrono::seconds(2);  // where nobody waits for the end

// The signals to take: those that the process was not started to ignore.
sigset_t wanted_signals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGTSTP, SIGCONT, SIGWINCH}) {
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

// Runs `words` in a thread of its own, because they may block: on a pipe that nobody reads, on a lock.
void speak(const std::function<void()>& words, Interrupt::Clock::duration patience = kLastWords) {
  try {
    const auto spoken = std::make_shared<std::binary_semaphore>(0);
    std::thread([words, spoken] {
      try {
        words();
      } catch (const std::exception&) {  // nobody is there to hear them
      }
      spoken->release();
    }).detach();
    (void)spoken->try_acquire_for(patience);
  } catch (const std::exception&) {  // no thread to be had: no words
  }
}

// Whether the process may go on behind it.
bool is_renewable(const Ending& ending) { return ending.signal == SIGINT || ending.kind == Kind::alarm; }

}  // namespace

int Ending::exit_code() const {
  switch (kind) {
    case Kind::none:
      return kExitDone;
    case Kind::signal:
      return kExitSignal + signal;
    case Kind::timeout:
    case Kind::alarm:
      return kExitTimeout;
    case Kind::cancelled:
      return kExitSignal + SIGINT;  // as if the request alone had been interrupted
    case Kind::fault:
      return fault.exit_code();
    case Kind::output_closed:
      break;
  }
  return kExitOutputClosed;
}

Interrupt::Interrupt() {
  const sigset_t wanted = wanted_signals();
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  signals_ = checked(::signalfd(-1, &wanted, SFD_CLOEXEC), "signalfd");
  woken_ = make_event();
  thread_ = std::thread([this] { serve(); });
}

Interrupt::~Interrupt() {
  {
    const std::lock_guard lock(mutex_);
    quits_ = true;
  }
  wake();
  thread_.join();
  ::close(woken_);
  ::close(signals_);
}

void Interrupt::wake() { raise_event(woken_); }

void Interrupt::set_deadline(Clock::time_point deadline) {
  {
    const std::lock_guard lock(mutex_);
    deadline_ = deadline;
  }
  wake();
}

void Interrupt::set_grace(Clock::duration grace) {
  const std::lock_guard lock(mutex_);
  grace_ = grace;
}

void Interrupt::set_alarm(std::optional<Clock::time_point> moment) {
  {
    const std::lock_guard lock(mutex_);
    alarm_ = moment;
  }
  wake();
}

void Interrupt::clear_deadline() {
  const std::lock_guard lock(mutex_);
  deadline_.reset();
  last_moment_.reset();
}

void Interrupt::watch_output() {
  {
    const std::lock_guard lock(mutex_);
    watches_output_ = ::isatty(STDOUT_FILENO) == 0;  // a terminal that goes has a signal of its own
  }
  wake();
}

// Until the next moment that matters; -1: for ever.
int Interrupt::wait_ms() const {
  std::optional<Clock::time_point> next;
  for (const auto& moment : {deadline_, last_moment_, alarm_}) {
    if (moment && (!next || *moment < *next)) next = moment;
  }
  if (!next) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 1'000'000'000));
}

void Interrupt::serve() {
  for (;;) {
    std::array<pollfd, 4> events = {pollfd{signals_, POLLIN, 0}, pollfd{woken_, POLLIN, 0}, pollfd{-1, 0, 0},
                                    pollfd{faults_.descriptor(), POLLIN, 0}};
    int wait = -1;
    {
      const std::lock_guard lock(mutex_);
      if (quits_) return;
      if (watches_output_) events[2].fd = STDOUT_FILENO;
      wait = wait_ms();
    }
    if (::poll(events.data(), events.size(), wait) < 0) continue;  // EINTR: a debugger
    if (events[1].revents != 0) clear_event(woken_);
    signalfd_siginfo info;
    if (events[0].revents != 0 && ::read(signals_, &info, sizeof info) == sizeof info) {
      take_signal(static_cast<int>(info.ssi_signo));
    }
    const std::lock_guard lock(mutex_);
    if (events[3].revents != 0) end_process({Kind::fault, 0, faults_.take()});
    take_deadlines();
    // A pipe without a reader is an error, a socket whose other end has gone a hang-up.
    if ((events[2].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 && watches_output_) {
      watches_output_ = false;
      take({Kind::output_closed});
    }
  }
}

void Interrupt::take_signal(int signal) {
  if (signal == SIGTSTP) stop_process();
  const std::lock_guard lock(mutex_);
  if (signal == SIGTSTP || signal == SIGCONT || signal == SIGWINCH) {
    if (come_back_) come_back_();
    return;
  }
  if (signal != SIGUSR1) return take({Kind::signal, signal});
  if (!status_) return;
  try {
    speak([line = status_()] { say(line); });
  } catch (const std::exception&) {  // no words
  }
}

// As the signal does by itself to a process that does not take it.
void Interrupt::stop_process() {
  {
    const std::lock_guard lock(mutex_);
    if (leave_) leave_();
  }
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
  ::raise(SIGTSTP);  // returns when the process goes on
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
}

void Interrupt::take_deadlines() {
  const auto now = Clock::now();
  if (last_moment_ && now >= *last_moment_) end_process(watch_->ending_);
  if (deadline_ && now >= *deadline_) {
    deadline_.reset();
    take({Kind::timeout});
  }
  if (alarm_ && now >= *alarm_) {
    alarm_.reset();
    if (watch_ != nullptr) take({Kind::alarm});
  }
}

void Interrupt::take(const Ending& ending) {
  if (watch_ == nullptr) end_process(ending);
  const bool is_asked = watch_->ending_ && watch_->ending_.kind != Kind::alarm;
  if (is_asked && ending.signal == SIGINT) end_process(ending);
  // It has been asked already; but what may be forgotten gives way to what may not.
  if (is_asked && (is_renewable(ending) || !is_renewable(watch_->ending_))) return;
  watch_->ending_ = ending;
  if (grace_ && ending.kind != Kind::alarm) last_moment_ = Clock::now() + *grace_;
  watch_->source_.request_stop();
  raise_event(watch_->descriptor_);
}

void Interrupt::end_process(const Ending& ending) {
  const bool is_fault = ending.kind == Kind::fault;
  const auto patience = is_fault ? Clock::duration(kUnhurried) : kLastWords;
  if (last_words_ && ending.kind != Kind::output_closed) {
    speak([words = last_words_, ending] { words(ending); }, patience);
  }
  if (is_fault) speak([ending] { log_error(ending.fault.message); }, patience);
  ::_exit(ending.exit_code());
}

Interrupt::Watch::Watch(Interrupt& interrupt) : interrupt_(interrupt), descriptor_(make_event()) {
  const std::lock_guard lock(interrupt_.mutex_);
  interrupt_.watch_ = this;
}

Interrupt::Watch::~Watch() {
  {
    const std::lock_guard lock(interrupt_.mutex_);
    interrupt_.watch_ = nullptr;
    interrupt_.last_moment_.reset();
  }
  ::close(descriptor_);
}

std::stop_token Interrupt::Watch::token() const {
  const std::lock_guard lock(interrupt_.mutex_);
  return source_.get_token();
}

Ending Interrupt::Watch::ending() const {
  const std::lock_guard lock(interrupt_.mutex_);
  return ending_;
}

void Interrupt::Watch::renew(const Ending& answered) {
  const std::lock_guard lock(interrupt_.mutex_);
  const bool is_same = ending_.kind == answered.kind && ending_.signal == answered.signal;
  if (!is_same || !is_renewable(ending_)) return;
  interrupt_.last_moment_.reset();
  ending_ = {};
  source_ = std::stop_source();
  clear_event(descriptor_);
}

Interrupt::LastWords::LastWords(Interrupt& interrupt, std::function<void(const Ending&)> last_words,
                                std::function<std::string()> status)
    : interrupt_(interrupt) {
  const std::lock_guard lock(interrupt_.mutex_);
  interrupt_.last_words_ = std::move(last_words);
  interrupt_.status_ = std::move(status);
}

Interrupt::LastWords::~LastWords() {
  const std::lock_guard lock(interrupt_.mutex_);
  interrupt_.last_words_ = nullptr;
  interrupt_.status_ = nullptr;
}

Interrupt::JobControl::JobControl(Interrupt& interrupt, std::function<void()> leave, std::function<void()> come_back)
    : interrupt_(interrupt) {
  const std::lock_guard lock(interrupt_.mutex_);
  interrupt_.leave_ = std::move(leave);
  interrupt_.come_back_ = std::move(come_back);
}

Interrupt::JobControl::~JobControl() {
  const std::lock_guard lock(interrupt_.mutex_);
  interrupt_.leave_ = nullptr;
  interrupt_.come_back_ = nullptr;
}

}  // namespace carat
