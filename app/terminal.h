// The terminal that a person sits at: its size, its modes, and how wide a text is on it.
#pragma once
#include <termios.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace carat {

// Whether the terminal marks where a paste begins and ends.
inline constexpr std::string_view kPasteOn = "\033[?2004h", kPasteOff = "\033[?2004l";

struct ScreenSize {
  std::size_t columns = 80, rows = 24;
};
ScreenSize screen_size();

// Whether it cannot move its cursor: TERM is "dumb", or says nothing.
bool terminal_is_dumb();

// Whether what is written to a descriptor may be coloured. `when` is always, never or auto (also on, off): to a
// terminal that is not dumb, unless NO_COLOR says no; anywhere, if CLICOLOR_FORCE says yes.
bool shows_colour(int descriptor, std::string_view when = "auto");

// The terminal has gone. The kernel's SIGHUP may be on its way, or meant for another: now it comes in any case.
void tell_hang_up();

// Characters count as in UTF-8, whatever the locale says: the model's texts are UTF-8 too. Once, before the others.
void use_utf8();

// UTF-8 to code points and back. What is not UTF-8 becomes U+FFFD.
std::wstring widen(std::string_view text);
std::string narrow(std::wstring_view text);

// Where on the screen a text leads that begins in a column.
struct ScreenPoint {
  std::size_t row = 0, column = 0;  // from where it began; column == columns: at the margin, about to wrap

  void advance(std::string_view text, std::size_t columns);
  void advance(wchar_t character, std::size_t columns);
};

// While it lives, keys are neither shown nor gathered into lines: what is typed meanwhile waits for the next prompt.
// Ctrl-C and Ctrl-Z stay signals.
class QuietKeyboard {
 public:
  explicit QuietKeyboard(bool wanted);
  QuietKeyboard(const QuietKeyboard&) = delete;
  QuietKeyboard& operator=(const QuietKeyboard&) = delete;
  ~QuietKeyboard() { restore(); }

  void restore() const;

 private:
  termios before_{};
  bool is_quiet_ = false;
};

// The terminal's modes while the process is stopped: those it had when this object was made. Any thread may call.
class TerminalModes {
 public:
  TerminalModes();
  TerminalModes(const TerminalModes&) = delete;
  TerminalModes& operator=(const TerminalModes&) = delete;
  ~TerminalModes();

  // To the shell, and back to what it was before leave().
  void leave();
  void come_back();

  // An eventfd: readable once the screen has to be drawn again.
  int redraw() const { return redraw_; }

 private:
  termios before_{}, meanwhile_{};
  bool is_terminal_, has_left_ = false;
  int redraw_;
};

}  // namespace carat
