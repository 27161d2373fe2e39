// What a user types until it is a message: lines that go on, and blocks in three quotes.
#pragma once
#include <string>
#include <string_view>

namespace carat {

// Whether Enter at the end of `text` begins another line: a block is open.
bool opens_block(std::string_view text);

// Whether `text` is a whole block, which is said as it is, even if it looks like a command.
bool is_block(std::string_view text);
// The text in it, without the quotes and the line ends next to them.
std::string block_text(std::string_view text);

// A backslash at the end: the next line belongs to it. It is taken off.
bool take_continuation(std::string& text);

// What came from the clipboard, or a file: line ends are "\n", and control characters but for that and tabs are gone.
std::string clean_text(std::string_view text);

}  // namespace carat
