// The keys of a terminal, one code point at a time.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace carat {

class KeyInput {
 public:
  enum class Event { key, end, interrupted, redraw };

  // Descriptors as of LineEditorOptions.
  KeyInput(int interrupt, int redraw) : interrupt_(interrupt), redraw_(redraw) {}

  // Waits. Bytes that are not UTF-8 come as U+FFFD.
  Event next(wchar_t& key);

  // Everything up to `end`, or to a Ctrl-C where no end has come; which is taken too.
  Event next_until(std::string_view end, std::string& text);

  // Drops the rest of a function key whose ESC was the last key, if it is there already.
  void skip_function_key();

  // As if it had been typed before what has not been taken yet.
  void put_back(std::string_view text) {
    bytes_.erase(0, at_);
    bytes_.insert(0, text);
    at_ = 0;
  }

 private:
  Event fill();  // key: there are more bytes now

  int interrupt_, redraw_;
  std::string bytes_;
  std::size_t at_ = 0;  // up to where they are taken
};

}  // namespace carat
