#include "tokenizer/constraint/code_points.h"

#include <algorithm>

namespace carat {
namespace {

constexpr std::array<char32_t, 4> kLastOfLength = {0x7F, 0x7FF, 0xFFFF, kLastCodePoint};

struct Spelling {
  std::array<std::uint8_t, 4> bytes;
  std::size_t length;
};

Spelling spell(char32_t point) {
  const auto tail = [point](unsigned shift) { return static_cast<std::uint8_t>(0x80 | ((point >> shift) & 0x3F)); };
  const auto lead = [point](unsigned mark, unsigned shift) {
    return static_cast<std::uint8_t>(mark | (point >> shift));
  };
  if (point <= kLastOfLength[0]) return {{static_cast<std::uint8_t>(point)}, 1};
  if (point <= kLastOfLength[1]) return {{lead(0xC0, 6), tail(0)}, 2};
  if (point <= kLastOfLength[2]) return {{lead(0xE0, 12), tail(6), tail(0)}, 3};
  return {{lead(0xF0, 18), tail(12), tail(6), tail(0)}, 4};
}

// A range whose spellings are equally long is cut until each part's are a product of byte ranges: where the ends differ
// in front of the last `n` bytes, these must run from their first to their last value.
void cut(char32_t low, char32_t high, const std::function<void(std::span<const ByteRange>)>& take) {
  const Spelling first = spell(low);
  for (unsigned n = 1; n < first.length; ++n) {
    const char32_t mask = (char32_t{1} << (6 * n)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      cut(low, low | mask, take);
      return cut((low | mask) + 1, high, take);
    }
    if ((high & mask) != mask) {
      cut(low, (high & ~mask) - 1, take);
      return cut(high & ~mask, high, take);
    }
  }
  const Spelling last = spell(high);
  std::array<ByteRange, 4> bytes;
  for (std::size_t i = 0; i < first.length; ++i) bytes[i] = {first.bytes[i], last.bytes[i]};
  take(std::span(bytes).first(first.length));
}

void cut_by_length(char32_t low, char32_t high, const std::function<void(std::span<const ByteRange>)>& take) {
  for (const char32_t last : kLastOfLength) {
    if (low > last) continue;
    cut(low, std::min(high, last), take);
    if (high <= last) return;
    low = last + 1;
  }
}

}  // namespace

CodePoints CodePoints::of(std::vector<Range> ranges) {
  std::ranges::sort(ranges, {}, &Range::low);
  CodePoints points;
  for (const Range& range : ranges) points.add(range.low, range.high);  // at the end, each
  return points;
}

void CodePoints::add(char32_t low, char32_t high) {
  const auto first = std::ranges::partition_point(ranges_, [low](const Range& r) { return r.high + 1 < low; });
  auto end = first;
  for (; end != ranges_.end() && end->low <= high + 1; ++end) {
    low = std::min(low, end->low);
    high = std::max(high, end->high);
  }
  ranges_.insert(ranges_.erase(first, end), Range{low, high});
}

void CodePoints::add(const CodePoints& others) {
  std::vector<Range> ranges = ranges_;
  ranges.insert(ranges.end(), others.ranges_.begin(), others.ranges_.end());
  *this = of(std::move(ranges));
}

CodePoints CodePoints::inverted() const {
  CodePoints rest;
  char32_t from = 0;
  for (const Range& range : ranges_) {
    if (range.low > from) rest.ranges_.push_back({from, range.low - 1});
    from = range.high + 1;
  }
  if (from <= kLastCodePoint) rest.ranges_.push_back({from, kLastCodePoint});
  return rest;
}

CodePoints CodePoints::without(const CodePoints& others) const {
  CodePoints outside = inverted();
  outside.add(others);
  return outside.inverted();
}

bool CodePoints::contains(char32_t point) const {
  const auto range = std::ranges::partition_point(ranges_, [point](const Range& r) { return r.high < point; });
  return range != ranges_.end() && range->low <= point;
}

void for_each_utf8(const CodePoints& points, const std::function<void(std::span<const ByteRange>)>& take) {
  const CodePoints spelled = points.without({{0xD800, 0xDFFF}});
  for (const CodePoints::Range& range : spelled.ranges()) {
    cut_by_length(range.low, range.high, take);
  }
}

void append_utf8(std::string& text, char32_t point) {
  const Spelling spelling = spell(point);
  text.append(reinterpret_cast<const char*>(spelling.bytes.data()), spelling.length);
}

char32_t take_utf8(std::string_view text, std::size_t& at) {
  const auto byte = [&text](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t lead = byte(at++);
  if (lead < 0x80) return lead;
  const int tails = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t point = lead & (0x3FU >> tails);
  for (int i = 0; i < tails && at < text.size(); ++i) point = point << 6 | (byte(at++) & 0x3F);
  return point;
}

}  // namespace carat
