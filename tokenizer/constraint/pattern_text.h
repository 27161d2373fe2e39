// A cursor over the text of a grammar or a regular expression, by code points.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/constraint/code_points.h"

namespace carat {

class PatternText {
 public:
  static constexpr char32_t kEnd = ~char32_t{0};

  // Throws BadConstraint if `text` is not UTF-8. `by_line`: places are lines and columns.
  PatternText(std::string_view text, bool by_line);

  bool at_end() const { return at_ == text_.size(); }
  char32_t peek() const;                 // kEnd at the end
  char32_t take();                       // likewise
  bool take(std::string_view expected);  // if it comes next
  bool comes(std::string_view expected) const { return text_.substr(at_).starts_with(expected); }

  // A whole number of decimal digits; none if no digit comes. Large ones stay at a million.
  std::optional<std::uint32_t> take_count();
  // Exactly so many hexadecimal digits, which spell a code point. Throws BadConstraint.
  char32_t take_hex(int digits);
  // Hexadecimal digits up to "}".
  char32_t take_hex_in_braces();

  std::size_t position() const { return at_; }
  void back_to(std::size_t position) { at_ = position; }
  // "line 3, column 7: why", of the present position.
  [[noreturn]] void fail(const std::string& why) const;

 private:
  char32_t check_point(char32_t point) const;

  std::string_view text_;
  std::size_t at_ = 0;
  bool by_line_;
};

// How messages show a code point: itself, or U+0007.
std::string shown(char32_t point);

}  // namespace carat
