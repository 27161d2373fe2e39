// The key/values of a model file, asked for by name, type and range in one call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/file/value.h"

namespace carat {

// Texts and arrays are views into the file, which outlives the metadata. Any integer type passes for an integer, f32
// and f64 for a real number. What is missing, of another type or out of range throws BadFile with the file, the key,
// what was found and what was expected; the `_or` variants allow it to be missing, and nothing else.
class Metadata {
 public:
  struct Entry {
    std::string key;
    Value value;
  };

  explicit Metadata(std::string file) : file_(std::move(file)) {}
  Metadata(const Metadata&) = delete;
  Metadata& operator=(const Metadata&) = delete;
  Metadata(Metadata&&) = default;
  Metadata& operator=(Metadata&&) = default;

  // Throws BadFile if the key is there already.
  void add(std::string key, const Value& value);

  // In the order of the file.
  const std::deque<Entry>& entries() const { return entries_; }

  const Value* find(std::string_view key) const;  // null if missing
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // min <= result <= max.
  std::size_t count(std::string_view key, std::size_t min, std::size_t max) const;
  std::size_t count_or(std::string_view key, std::size_t fallback, std::size_t min, std::size_t max) const;

  // min <= result <= max, never NaN; infinite only if a bound is.
  double real(std::string_view key, double min, double max) const;
  double real_or(std::string_view key, double fallback, double min, double max) const;

  std::string_view text(std::string_view key) const;
  std::string_view text_or(std::string_view key, std::string_view fallback) const;

  bool flag(std::string_view key) const;
  bool flag_or(std::string_view key, bool fallback) const;

  // Arrays. Made anew by each call; the texts themselves are not copied.
  bool is_array(std::string_view key) const;
  std::vector<std::string_view> texts(std::string_view key) const;
  std::vector<float> reals(std::string_view key) const;
  // Of any integer type, or bools as 0 and 1; min <= each item <= max.
  std::vector<std::int64_t> integers(std::string_view key,  //
                                     std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                                     std::int64_t max = std::numeric_limits<std::int64_t>::max()) const;

 private:
  const Value& need(std::string_view key) const;
  const ValueArray& need_array(std::string_view key) const;
  [[noreturn]] void refuse(std::string_view key, const Value& found, const std::string& expected) const;

  std::string file_;
  std::deque<Entry> entries_;                      // a deque, so that `index_` may point at the keys
  std::map<std::string_view, std::size_t> index_;  // sorted: no choice of keys makes it slow
};

}  // namespace carat
