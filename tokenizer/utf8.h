// UTF-8, one code point at a time.
#pragma once
#include <cstddef>
#include <string_view>

namespace carat {

// What the first bytes of a text are.
struct Utf8Step {
  enum class Kind { whole, incomplete, invalid };
  Kind kind;
  std::size_t length;  // bytes; of `invalid`: what one U+FFFD stands for (Unicode 15, section 3.9, table 3-8)
};

// Looks at the first code point of `text`, which must not be empty. Overlong forms, surrogates and anything above
// U+10FFFF are invalid; `incomplete` is a beginning that more bytes may complete.
Utf8Step utf8_step(std::string_view text);

// How many bytes of `text` lie before its first invalid or incomplete sequence.
std::size_t valid_utf8_prefix(std::string_view text);

}  // namespace carat
