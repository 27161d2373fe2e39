// SIGINT, SIGTERM and SIGHUP: they end the process at once, or ask it to stop.
#pragma once
#include <mutex>
#include <stop_token>
#include <thread>

namespace carat {

// Made first, by the main thread. The signals are blocked in every thread and taken from the kernel by a thread of this
// class's own, so no handler ever runs. One that the process was started to ignore (nohup) stays ignored.
// Throws std::system_error.
class Interrupt {
 public:
  class Watch;

  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

 private:
  void serve();
  void take(int signal);

  int signals_ = -1, quit_ = -1;  // descriptors: readable when a signal came, when the thread shall end
  std::mutex mutex_;
  Watch* watch_ = nullptr;
  std::thread thread_;
};

// While it lives, a signal asks to stop, instead of ending the process; the second SIGINT ends it still. One at a time.
class Interrupt::Watch {
 public:
  explicit Watch(Interrupt& interrupt);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  std::stop_token token() const;
  int signal() const;                             // that asked; 0: none
  int descriptor() const { return descriptor_; }  // readable once asked

  // Forgets a SIGINT that was answered. The others are there to stay. Tokens handed out before are void.
  void renew();

 private:
  friend class Interrupt;

  Interrupt& interrupt_;
  int descriptor_;
  int signal_ = 0;  // these two under interrupt_.mutex_
  std::stop_source source_;
};

}  // namespace carat
