#include "engine/file/metadata.h"

#include <concepts>
#include <cstring>
#include <type_traits>
#include <utility>

#include "engine/file/quote.h"

namespace carat {

namespace {

template <class T>
constexpr bool kInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

std::string range(const std::string& min, const std::string& max) { return " from " + min + " to " + max; }

// Calls `visit(item)` for each item of an array of numbers or bools; false if `visit` does not take that type.
template <class Visit>
bool for_each_number(const ValueArray& array, Visit visit) {
  bool taken = false;
  with_element_type(array, [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_arithmetic_v<T> && std::is_invocable_v<Visit, T>) {
      taken = true;
      for (std::size_t i = 0; i < array.count; ++i) {
        T item;
        std::memcpy(&item, array.bytes.data() + i * sizeof(T), sizeof(T));  // packed: not aligned
        visit(item);
      }
    }
  });
  return taken;
}

}  // namespace

void Metadata::add(std::string key, const Value& value) {
  if (has(key)) throw BadFile(file_ + ": key " + quote(key) + ": appears twice");
  entries_.push_back({std::move(key), value});
  index_.emplace(entries_.back().key, entries_.size() - 1);
}

const Value* Metadata::find(std::string_view key) const {
  const auto at = index_.find(key);
  return at == index_.end() ? nullptr : &entries_[at->second].value;
}

const Value& Metadata::need(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) throw BadFile(file_ + ": key " + quote(key) + ": is missing");
  return *value;
}

const ValueArray& Metadata::need_array(std::string_view key) const {
  const Value& value = need(key);
  if (const auto* array = std::get_if<ValueArray>(&value)) return *array;
  refuse(key, value, "an array");
}

void Metadata::refuse(std::string_view key, const Value& found, const std::string& expected) const {
  throw BadFile(file_ + ": key " + quote(key) + ": is " + describe(found) + " (" + type_name(found) + "), expected " +
                expected);
}

std::size_t Metadata::count(std::string_view key, std::size_t min, std::size_t max) const {
  const Value& value = need(key);
  return std::visit(
      [&]<class T>(const T& v) -> std::size_t {
        if constexpr (kInteger<T>)
          if (std::cmp_less_equal(min, v) && std::cmp_less_equal(v, max)) return static_cast<std::size_t>(v);
        refuse(key, value, "an integer" + range(std::to_string(min), std::to_string(max)));
      },
      value);
}

std::size_t Metadata::count_or(std::string_view key, std::size_t fallback, std::size_t min, std::size_t max) const {
  return has(key) ? count(key, min, max) : fallback;
}

double Metadata::real(std::string_view key, double min, double max) const {
  const Value& value = need(key);
  return std::visit(
      [&]<class T>(const T& v) -> double {
        if constexpr (std::is_floating_point_v<T>)
          if (min <= v && v <= max) return v;
        refuse(key, value, "a real number" + range(describe(min), describe(max)));
      },
      value);
}

double Metadata::real_or(std::string_view key, double fallback, double min, double max) const {
  return has(key) ? real(key, min, max) : fallback;
}

std::string_view Metadata::text(std::string_view key) const {
  const Value& value = need(key);
  if (const auto* text = std::get_if<std::string_view>(&value)) return *text;
  refuse(key, value, "a text");
}

std::string_view Metadata::text_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : fallback;
}

bool Metadata::flag(std::string_view key) const {
  const Value& value = need(key);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  refuse(key, value, "a bool");
}

bool Metadata::flag_or(std::string_view key, bool fallback) const { return has(key) ? flag(key) : fallback; }

bool Metadata::is_array(std::string_view key) const {
  const Value* value = find(key);
  return value != nullptr && std::holds_alternative<ValueArray>(*value);
}

std::vector<std::string_view> Metadata::texts(std::string_view key) const {
  const ValueArray& array = need_array(key);
  if (array.element != kValueType<std::string_view>) refuse(key, array, "an array of texts");
  return carat::texts(array);
}

std::vector<float> Metadata::reals(std::string_view key) const {
  const ValueArray& array = need_array(key);
  std::vector<float> items;
  items.reserve(array.count);
  const auto keep = [&](std::floating_point auto item) { items.push_back(static_cast<float>(item)); };
  if (!for_each_number(array, keep)) refuse(key, array, "an array of real numbers");
  return items;
}

std::vector<std::int64_t> Metadata::integers(std::string_view key, std::int64_t min, std::int64_t max) const {
  const ValueArray& array = need_array(key);
  std::vector<std::int64_t> items;
  items.reserve(array.count);
  const auto keep = [&](std::integral auto item) {  // `+` makes an int of a bool
    if (std::cmp_less_equal(min, +item) && std::cmp_less_equal(+item, max))
      items.push_back(static_cast<std::int64_t>(item));
  };
  if (!for_each_number(array, keep) || items.size() != array.count)
    refuse(key, array, "an array of integers" + range(std::to_string(min), std::to_string(max)));
  return items;
}

}  // namespace carat
