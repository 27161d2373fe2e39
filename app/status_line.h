// A line below the text that is being written on a terminal: there while something happens, and gone without a trace.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "app/terminal.h"

namespace carat {

// It is drawn on standard error. The text, if it goes to the same screen, is announced before it is written.
class StatusLine {
 public:
  explicit StatusLine(bool is_on) : is_on_(is_on) {}
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  ~StatusLine() { clear(); }

  bool is_on() const { return is_on_; }

  // `text` is about to be written to the screen. Makes room, if it leads to where the line stands.
  void make_room(std::string_view text);

  // Draws `line` if that has not just been done.
  void show(const std::string& line);
  void clear();

  // Where the text stands.
  std::size_t column() const { return at_.column; }

 private:
  using Clock = std::chrono::steady_clock;

  void draw();

  bool is_on_;
  bool is_drawn_ = false;
  ScreenPoint at_;
  std::string line_;
  Clock::time_point drawn_{};
};

}  // namespace carat
