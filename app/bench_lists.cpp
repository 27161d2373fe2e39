#include "app/bench_lists.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

#include "app/failure.h"

namespace carat {
namespace {

constexpr std::size_t kMaxItems = 1000;  // of one flag: a range that goes wrong must not run for years

[[noreturn]] void refuse(const std::string& flag, std::string_view item, CountRange range) {
  throw BadUsage(flag + ": '" + std::string(item) + "' is not a whole number from " + std::to_string(range.min) +
                     " to " + std::to_string(range.max),
                 "lists are written '1,2,4', ranges '1-4', '1-9+4' or '1-8*2'");
}

// The number at the start of `text`, which is taken away.
bool take_number(std::string_view& text, std::size_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

// What a range steps by: a number to be added or to be multiplied with.
struct Step {
  char sign = '+';
  std::size_t by = 1;

  bool goes_on() const { return by > (sign == '*' ? 1 : 0); }
  std::size_t after(std::size_t value) const {
    constexpr std::size_t kEnd = std::numeric_limits<std::size_t>::max();
    if (sign == '+') return by > kEnd - value ? kEnd : value + by;
    return value > kEnd / by ? kEnd : value * by;
  }
};

void add_range(const std::string& flag, const std::string& item, CountRange range, std::vector<std::size_t>& counts) {
  std::string_view rest = item;
  std::size_t first = 0;
  if (!take_number(rest, first)) refuse(flag, item, range);
  std::size_t last = first;
  Step step;
  if (rest.starts_with('-')) {
    rest.remove_prefix(1);
    if (!take_number(rest, last)) refuse(flag, item, range);
    if (rest.starts_with('+') || rest.starts_with('*')) {
      step.sign = rest.front();
      rest.remove_prefix(1);
      if (!take_number(rest, step.by)) refuse(flag, item, range);
    }
  }
  const bool endless = !step.goes_on() || (step.sign == '*' && first == 0 && last > 0);
  if (!rest.empty() || endless || first < range.min || last > range.max || first > last) refuse(flag, item, range);
  for (std::size_t value = first; value <= last; value = step.after(value)) {
    counts.push_back(value);
    if (counts.size() > kMaxItems) throw BadUsage(flag + ": more than " + std::to_string(kMaxItems) + " values");
    if (value == last) break;
  }
}

}  // namespace

std::vector<std::string> split_lists(const std::string& flag, const std::vector<std::string>& texts) {
  std::vector<std::string> items;
  for (const std::string& text : texts) {
    for (std::size_t start = 0; start <= text.size();) {
      const std::size_t comma = std::min(text.find(',', start), text.size());
      if (comma == start) throw BadUsage(flag + ": '" + text + "' has an empty item");
      items.push_back(text.substr(start, comma - start));
      start = comma + 1;
    }
  }
  return items;
}

std::vector<std::size_t> parse_counts(const std::string& flag, const std::vector<std::string>& texts,
                                      CountRange range) {
  std::vector<std::size_t> counts;
  for (const std::string& item : split_lists(flag, texts)) add_range(flag, item, range, counts);
  return counts;
}

std::vector<DType> parse_cache_types(const std::string& flag, const std::vector<std::string>& texts) {
  std::vector<DType> types;
  for (const std::string& item : split_lists(flag, texts)) {
    const std::optional<DType> found = find_cache_type(item);
    if (!found) throw BadUsage(flag + ": '" + item + "' is no type of a cache", "there are f16, bf16, q8_0, f32");
    types.push_back(*found);
  }
  return types;
}

std::vector<PromptAndReply> parse_pairs(const std::string& flag, const std::vector<std::string>& texts,
                                        CountRange range) {
  std::vector<PromptAndReply> pairs;
  for (const std::string& text : texts) {
    const std::vector<std::size_t> numbers = parse_counts(flag, {text}, range);
    if (numbers.size() != 2) throw BadUsage(flag + ": '" + text + "' is not two numbers", "as in -pg 512,128");
    pairs.push_back({numbers[0], numbers[1]});
  }
  return pairs;
}

}  // namespace carat
