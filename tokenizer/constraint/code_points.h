// Sets of Unicode code points, and the UTF-8 that spells them.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace carat {

inline constexpr char32_t kLastCodePoint = 0x10FFFF;

constexpr bool is_surrogate(char32_t point) { return point >= 0xD800 && point <= 0xDFFF; }

class CodePoints {
 public:
  struct Range {
    char32_t low, high;
    bool operator==(const Range&) const = default;
  };

  CodePoints() = default;
  CodePoints(std::initializer_list<Range> ranges) {
    for (const Range& range : ranges) add(range.low, range.high);
  }
  // In any order; they may overlap.
  static CodePoints of(std::vector<Range> ranges);
  static CodePoints all() { return {{0, kLastCodePoint}}; }

  void add(char32_t point) { add(point, point); }
  void add(char32_t low, char32_t high);
  void add(const CodePoints& others);

  // All code points but these.
  CodePoints inverted() const;
  CodePoints without(const CodePoints& others) const;
  bool contains(char32_t point) const;
  bool empty() const { return ranges_.empty(); }

  // Ascending, with gaps between them. May hold surrogates, which no UTF-8 spells.
  std::span<const Range> ranges() const { return ranges_; }

  bool operator==(const CodePoints&) const = default;

 private:
  std::vector<Range> ranges_;
};

struct ByteRange {
  std::uint8_t low, high;
};

// Calls `take` with sequences of up to four byte ranges that spell exactly the code points, surrogates left out.
void for_each_utf8(const CodePoints& points, const std::function<void(std::span<const ByteRange>)>& take);

// Appends a code point that is no surrogate.
void append_utf8(std::string& text, char32_t point);

// The code point at `at` of a text that is UTF-8; moves `at` behind it.
char32_t take_utf8(std::string_view text, std::size_t& at);

}  // namespace carat
