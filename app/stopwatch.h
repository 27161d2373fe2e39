// Time that passes, on a clock that never jumps.
#pragma once
#include <chrono>

namespace carat {

class Stopwatch {
 public:
  using Clock = std::chrono::steady_clock;

  Stopwatch() = default;
  explicit Stopwatch(Clock::time_point start) : start_(start) {}

  Clock::time_point start() const { return start_; }
  double ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

 private:
  Clock::time_point start_ = Clock::now();
};

}  // namespace carat
