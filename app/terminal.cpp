#include "app/terminal.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdint>
#include <cwchar>

#include "app/environment.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

constexpr std::size_t kTab = 8;
constexpr wchar_t kReplacement = 0xfffd;

wchar_t decode(std::string_view whole) {
  const auto byte = [whole](std::size_t i) { return static_cast<unsigned char>(whole[i]); };
  const auto tail = [&](std::size_t i) { return byte(i) & 0x3fu; };
  switch (whole.size()) {
    case 1:
      return static_cast<wchar_t>(byte(0));
    case 2:
      return static_cast<wchar_t>((byte(0) & 0x1fu) << 6 | tail(1));
    case 3:
      return static_cast<wchar_t>((byte(0) & 0x0fu) << 12 | tail(1) << 6 | tail(2));
    default:
      return static_cast<wchar_t>((byte(0) & 0x07u) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3));
  }
}

}  // namespace

ScreenSize screen_size() {
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO}) {
    winsize size{};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
      return {size.ws_col, size.ws_row};
    }
  }
  return {};
}

bool terminal_is_dumb() {
  const std::string_view term = environment("TERM");
  return term.empty() || term == "dumb";
}

bool shows_colour(int descriptor, std::string_view when) {
  if (when == "always" || when == "on") return true;
  if (when == "never" || when == "off") return false;
  const std::string_view forced = environment("CLICOLOR_FORCE");
  if (!forced.empty() && forced != "0") return true;
  return ::isatty(descriptor) == 1 && !terminal_is_dumb() && environment("NO_COLOR").empty();
}

void tell_hang_up() { ::kill(::getpid(), SIGHUP); }

void use_utf8() {
  for (const char* const locale : {"C.UTF-8", "en_US.UTF-8"}) {
    if (std::setlocale(LC_CTYPE, locale) != nullptr) return;
  }
}

std::wstring widen(std::string_view text) {
  std::wstring wide;
  wide.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    wide += step.kind == Utf8Step::Kind::whole ? decode(text.substr(0, step.length)) : kReplacement;
    text.remove_prefix(step.length);
  }
  return wide;
}

std::string narrow(std::wstring_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  const auto add = [&bytes](std::uint32_t byte) { bytes += static_cast<char>(byte); };
  for (const wchar_t character : text) {
    const auto c = static_cast<std::uint32_t>(character);
    if (c < 0x80) {
      add(c);
    } else if (c < 0x800) {
      add(0xc0 | c >> 6);
      add(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      add(0xe0 | c >> 12);
      add(0x80 | (c >> 6 & 0x3f));
      add(0x80 | (c & 0x3f));
    } else {
      add(0xf0 | c >> 18);
      add(0x80 | (c >> 12 & 0x3f));
      add(0x80 | (c >> 6 & 0x3f));
      add(0x80 | (c & 0x3f));
    }
  }
  return bytes;
}

void ScreenPoint::advance(wchar_t character, std::size_t columns) {
  if (character == L'\n') {
    ++row;
    column = 0;
    return;
  }
  if (character == L'\t') {
    column = std::min((column / kTab + 1) * kTab, columns - 1);
    return;
  }
  const int width = ::wcwidth(character);
  if (width <= 0) return;
  if (column + static_cast<std::size_t>(width) > columns) {
    ++row;
    column = 0;
  }
  column += static_cast<std::size_t>(width);
}

void ScreenPoint::advance(std::string_view text, std::size_t columns) {
  for (const wchar_t character : widen(text)) advance(character, columns);
}

QuietKeyboard::QuietKeyboard(bool wanted) {
  if (!wanted || ::tcgetattr(STDIN_FILENO, &before_) != 0) return;
  termios quiet = before_;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  quiet.c_lflag |= ISIG;
  quiet.c_iflag &= ~static_cast<tcflag_t>(ICRNL);  // Enter is to be Enter at the next prompt, not Ctrl-J
  quiet.c_cc[VMIN] = 1;
  quiet.c_cc[VTIME] = 0;
  is_quiet_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet) == 0;
}

void QuietKeyboard::restore() const {
  if (is_quiet_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

TerminalModes::TerminalModes()
    : is_terminal_(::tcgetattr(STDIN_FILENO, &before_) == 0), redraw_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

TerminalModes::~TerminalModes() { ::close(redraw_); }

void TerminalModes::leave() {
  has_left_ = is_terminal_ && ::tcgetattr(STDIN_FILENO, &meanwhile_) == 0;
  if (!has_left_) return;
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  const bool was_editing = (meanwhile_.c_lflag & static_cast<tcflag_t>(ISIG)) == 0;
  if (was_editing) (void)!::write(STDIN_FILENO, kPasteOff.data(), kPasteOff.size());
}

void TerminalModes::come_back() {
  if (has_left_) ::tcsetattr(STDIN_FILENO, TCSANOW, &meanwhile_);
  has_left_ = false;
  const std::uint64_t once = 1;
  (void)!::write(redraw_, &once, sizeof once);
}

}  // namespace carat
