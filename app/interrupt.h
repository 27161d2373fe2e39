// What ends work from outside: SIGINT, SIGTERM and SIGHUP, a deadline, a reader of standard output who leaves. From
// inside: a fault. And what interrupts it: SIGTSTP.
#pragma once
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "app/fault.h"

namespace carat {

// What ended it; nothing at first.
struct Ending {
  enum class Kind { none, signal, timeout, alarm, output_closed, cancelled, fault };
  // timeout: the deadline of the process. alarm: another one, after which the process goes on. cancelled: a request by
  // its client; nothing else ends with it. fault: nothing can go on, and a thread of the work hangs.
  Kind kind = Kind::none;
  int signal = 0;    // of Kind::signal
  Fault fault = {};  // of Kind::fault

  explicit operator bool() const { return kind != Kind::none; }
  int exit_code() const;
};

// Made first, by the main thread. The signals are blocked in every thread and taken from the kernel by a thread of this
// class's own; but for those of faults no handler ever runs. One that the process was started to ignore (nohup) stays
// ignored. Whatever comes while nobody watches ends the process at once. Throws std::system_error.
class Interrupt {
 public:
  class Watch;
  class LastWords;
  class JobControl;
  using Clock = std::chrono::steady_clock;

  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  // From `deadline` on it is as if a signal had come.
  void set_deadline(Clock::time_point deadline);
  // How long work may go on once it was asked to stop: then the process ends. Without this, as long as it takes.
  void set_grace(Clock::duration grace);
  // At that moment, if there is one, work is asked to stop for something after which it may go on: see Watch::renew().
  // No grace runs out then.
  void set_alarm(std::optional<Clock::time_point> moment);
  // What was to be done is done: neither deadline nor grace runs out any more.
  void clear_deadline();

  // Work ends when the reader of standard output, a pipe or a socket, has gone: before anything is written to it.
  void watch_output();

 private:
  void serve();
  int wait_ms() const;
  void take_signal(int signal);
  void stop_process();
  void take_deadlines();
  void take(const Ending& ending);
  [[noreturn]] void end_process(const Ending& ending);
  void wake();

  int signals_ = -1, woken_ = -1;  // descriptors: readable when a signal came, when something has changed
  Faults faults_;
  mutable std::mutex mutex_;  // of all below
  bool quits_ = false, watches_output_ = false;
  Watch* watch_ = nullptr;
  std::optional<Clock::time_point> deadline_, last_moment_, alarm_;
  std::optional<Clock::duration> grace_;
  std::function<void(const Ending&)> last_words_;
  std::function<std::string()> status_;
  std::function<void()> leave_, come_back_;
  std::thread thread_;
};

// While it lives, whatever comes asks to stop, instead of ending the process; the second SIGINT ends it still. One at a
// time.
class Interrupt::Watch {
 public:
  explicit Watch(Interrupt& interrupt);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  std::stop_token token() const;
  Ending ending() const;                          // what asked
  int signal() const { return ending().signal; }  // that asked; 0: none did
  int descriptor() const { return descriptor_; }  // readable once asked

  // Forgets `answered`, a SIGINT or an alarm, unless something else has come since. The others are there to stay.
  // Tokens handed out before are void.
  void renew(const Ending& answered);

 private:
  friend class Interrupt;

  Interrupt& interrupt_;
  int descriptor_;
  Ending ending_;  // these two under interrupt_.mutex_
  std::stop_source source_;
};

// While it lives, another thread says something just before it ends the process over the head of its work, for which
// it gets 0.2 s, and at each SIGUSR1, which is ignored otherwise, the line that `status` makes. One at a time.
class Interrupt::LastWords {
 public:
  LastWords(Interrupt& interrupt, std::function<void(const Ending&)> last_words, std::function<std::string()> status);
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;
  ~LastWords();

 private:
  Interrupt& interrupt_;
};

// While it lives, another thread calls `leave` just before SIGTSTP stops the process, and `come_back` when it goes on
// and whenever the terminal's size has changed. One at a time.
class Interrupt::JobControl {
 public:
  JobControl(Interrupt& interrupt, std::function<void()> leave, std::function<void()> come_back);
  JobControl(const JobControl&) = delete;
  JobControl& operator=(const JobControl&) = delete;
  ~JobControl();

 private:
  Interrupt& interrupt_;
};

}  // namespace carat
