// Standard output: whole pieces, in time, and a quick and quiet end when nobody reads them.
#pragma once
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace carat {

// On a terminal every piece is shown at once, elsewhere within a tenth of a second of the next one. Any thread may
// call.
class Output {
 public:
  Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();  // writes what it can of the rest

  bool is_terminal() const { return is_terminal_; }

  // Both throw OutputClosed when the reader has gone, Error when the bytes cannot be written.
  void write(std::string_view text);
  void flush();

 private:
  using Clock = std::chrono::steady_clock;

  void write_pending();

  bool is_terminal_;
  std::mutex mutex_;  // of all below
  std::string pending_;
  Clock::time_point flushed_;
};

// Writes a listing, whole.
void print(std::string_view text);

}  // namespace carat
