#include "tokenizer/constraint/pattern_text.h"

#include <algorithm>
#include <cstdio>

#include "tokenizer/constraint/bad_constraint.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 20;
constexpr std::uint32_t kMaxCount = 1'000'000;

std::optional<std::uint32_t> hex_value(char32_t point) {
  if (point >= '0' && point <= '9') return point - '0';
  if (point >= 'a' && point <= 'f') return point - 'a' + 10;
  if (point >= 'A' && point <= 'F') return point - 'A' + 10;
  return std::nullopt;
}

}  // namespace

std::string shown(char32_t point) {
  if (point == PatternText::kEnd) return "the end";
  std::string text = "'";
  append_utf8(text, point);
  if (point >= 0x20 && point < 0x7F) return text + "'";
  char name[16];
  std::snprintf(name, sizeof name, "U+%04X", static_cast<unsigned>(point));
  return name;
}

PatternText::PatternText(std::string_view text, bool by_line) : text_(text), by_line_(by_line) {
  if (text.size() > kMaxText) throw BadConstraint("longer than " + std::to_string(kMaxText) + " bytes");
  at_ = valid_utf8_prefix(text);
  if (at_ < text.size()) throw BadConstraint("at byte " + std::to_string(at_) + ": not UTF-8");
  at_ = 0;
}

char32_t PatternText::peek() const {
  std::size_t at = at_;
  return at_end() ? kEnd : take_utf8(text_, at);
}

char32_t PatternText::take() { return at_end() ? kEnd : take_utf8(text_, at_); }

bool PatternText::take(std::string_view expected) {
  if (!comes(expected)) return false;
  at_ += expected.size();
  return true;
}

std::optional<std::uint32_t> PatternText::take_count() {
  std::optional<std::uint32_t> count;
  while (peek() >= '0' && peek() <= '9') count = std::min(count.value_or(0) * 10 + (take() - '0'), kMaxCount);
  return count;
}

char32_t PatternText::take_hex(int digits) {
  char32_t point = 0;
  for (int i = 0; i < digits; ++i) {
    const auto value = hex_value(peek());
    if (!value) fail("an escape needs " + std::to_string(digits) + " hexadecimal digits");
    point = point << 4 | *value;
    take();
  }
  return check_point(point);
}

char32_t PatternText::take_hex_in_braces() {
  char32_t point = 0;
  const std::size_t begin = at_;
  for (auto value = hex_value(peek()); value && at_ - begin < 8; value = hex_value(peek())) {
    point = point << 4 | *value;
    take();
  }
  if (at_ == begin || !take("}")) fail("an escape needs hexadecimal digits and '}'");
  return check_point(point);
}

char32_t PatternText::check_point(char32_t point) const {
  if (point > kLastCodePoint || is_surrogate(point)) fail("an escape that names no character");
  return point;
}

void PatternText::fail(const std::string& why) const {
  const std::string_view before = text_.substr(0, at_);
  const auto column_from = [&](std::size_t from) {
    const auto is_lead = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };
    return std::to_string(1 + std::ranges::count_if(before.substr(from), is_lead));
  };
  if (!by_line_) throw BadConstraint("at character " + column_from(0) + ": " + why);
  const std::size_t line_end = before.rfind('\n');
  throw BadConstraint("line " + std::to_string(1 + std::ranges::count(before, '\n')) + ", column " +
                      column_from(line_end == std::string_view::npos ? 0 : line_end + 1) + ": " + why);
}

}  // namespace carat
