#include "app/key_input.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "app/terminal.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

constexpr int kPatienceMs = 1000;

}  // namespace

KeyInput::Event KeyInput::fill() {
  bytes_.erase(0, at_);
  at_ = 0;
  for (;;) {
    std::array<pollfd, 3> events = {pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{interrupt_, POLLIN, 0},
                                    pollfd{redraw_, POLLIN, 0}};
    if (::poll(events.data(), events.size(), -1) < 0) continue;  // EINTR
    if (events[1].revents != 0) return Event::interrupted;
    if (events[2].revents != 0) {
      std::uint64_t count = 0;
      (void)!::read(redraw_, &count, sizeof count);
      return Event::redraw;
    }
    std::array<char, 65536> bytes;
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0 && (events[0].revents & POLLHUP) != 0) {
      tell_hang_up();
      return ::poll(&events[1], 1, kPatienceMs) > 0 ? Event::interrupted : Event::end;  // unless it is ignored
    }
    if (count <= 0) return Event::end;
    bytes_.append(bytes.data(), static_cast<std::size_t>(count));
    return Event::key;
  }
}

KeyInput::Event KeyInput::next(wchar_t& key) {
  for (;;) {
    const std::string_view rest = std::string_view(bytes_).substr(at_);
    if (!rest.empty()) {
      const Utf8Step step = utf8_step(rest);
      if (step.kind != Utf8Step::Kind::incomplete) {
        key = widen(rest.substr(0, step.length)).front();
        at_ += step.length;
        return Event::key;
      }
    }
    if (const Event event = fill(); event != Event::key) return event;
  }
}

// ECMA-48, section 5.4: up to a byte from '@' to '~'. The O of application keys has one byte behind it.
void KeyInput::skip_function_key() {
  if (at_ >= bytes_.size() || (bytes_[at_] != '[' && bytes_[at_] != 'O')) return;
  do {
    ++at_;
  } while (at_ < bytes_.size() && (bytes_[at_] < '@' || bytes_[at_] > '~'));
  if (at_ < bytes_.size()) ++at_;
}

KeyInput::Event KeyInput::next_until(std::string_view end, std::string& text) {
  constexpr char kControlC = '\3';
  for (std::size_t searched = at_;;) {
    const std::size_t found = bytes_.find(end, searched);
    // A terminal takes control characters out of a paste: this one was typed, by somebody whose paste has no end.
    if (found == std::string::npos && bytes_.ends_with(kControlC)) {
      text = bytes_.substr(at_, bytes_.size() - at_ - 1);
      at_ = bytes_.size();
      return Event::key;
    }
    if (found != std::string::npos) {
      text = bytes_.substr(at_, found - at_);
      at_ = found + end.size();
      return Event::key;
    }
    const std::size_t kept = bytes_.size() - at_;
    searched = kept >= end.size() ? kept - end.size() + 1 : 0;  // in what fill() leaves
    const Event event = fill();
    if (event == Event::end || event == Event::interrupted) return event;
  }
}

}  // namespace carat
