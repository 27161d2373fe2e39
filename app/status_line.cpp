#include "app/status_line.h"

#include "app/log.h"

namespace carat {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(200);

// DEC's: keep the cursor's place and come back to it; down a line, which scrolls at the bottom; up a line.
constexpr std::string_view kSave = "\0337", kRestore = "\0338", kDown = "\033D", kUp = "\033[A";
constexpr std::string_view kClearLine = "\033[K", kClearBelow = "\033[J";

std::string shortened(std::string_view line, std::size_t columns) {
  ScreenPoint end;
  std::string kept;
  for (const wchar_t character : widen(line)) {
    end.advance(character, columns);
    if (end.row > 0 || end.column >= columns) break;
    kept += narrow(std::wstring_view(&character, 1));
  }
  return kept;
}

}  // namespace

void StatusLine::make_room(std::string_view text) {
  if (!is_on_) return;
  const std::size_t columns = screen_size().columns;
  ScreenPoint next = at_;
  next.advance(text, columns);
  const bool leaves_row = next.row != at_.row || next.column >= columns;
  if (leaves_row) clear();
  at_ = {0, next.column};
}

void StatusLine::show(const std::string& line) {
  if (!is_on_) return;
  const auto now = Clock::now();
  const bool is_new = line != line_;
  if (is_drawn_ && (!is_new || now - drawn_ < kInterval)) return;
  // A row that is full to its margin ends in a wrap that is yet to come: no moving from there.
  if (at_.column >= screen_size().columns) return;
  if (is_new) {
    line_ = line;
    drawn_ = now;
  }
  draw();
}

void StatusLine::draw() {
  const std::string text = shortened(line_, screen_size().columns - 1);
  std::string bytes;
  if (at_.column == 0) {
    bytes.append(kSave).append(text).append(kClearLine).append(kRestore);
  } else {
    bytes.append(kDown).append(kUp).append(kSave).append(kDown).append("\r");
    bytes.append(text).append(kClearLine).append(kRestore);
  }
  say_inline(bytes);
  is_drawn_ = true;
}

void StatusLine::clear() {
  if (!is_drawn_) return;
  say_inline(kClearBelow);
  is_drawn_ = false;
}

}  // namespace carat
