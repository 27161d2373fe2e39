#include "engine/file/value.h"

#include <algorithm>
#include <charconv>

#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::size_t kItemsShown = 3;

// A byte of a bool; the specification of GGUF knows 0 and 1 only.
bool read_bool(ByteReader& in) {
  const auto byte = in.read<std::uint8_t>();
  if (byte > 1) in.fail("a bool is " + std::to_string(byte) + ", expected 0 or 1");
  return byte == 1;
}

template <class T>
void check_items(ByteReader& in, std::uint64_t count) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    for (std::uint64_t i = 0; i < count; ++i) in.read_text();
  } else if constexpr (std::is_same_v<T, bool>) {
    for (std::uint64_t i = 0; i < count; ++i) read_bool(in);
  } else if constexpr (Number<T>) {
    in.skip(count * sizeof(T));  // read_count has checked the product
  }
}

template <class T>
constexpr std::uint64_t min_bytes() {
  return std::is_same_v<T, std::string_view> ? sizeof(std::uint64_t) : sizeof(T);
}

[[noreturn]] void refuse_type(const ByteReader& in, std::uint32_t type) {
  in.fail("value type " + std::to_string(type) + " is unknown, the last one is " + std::to_string(kValueTypes - 1));
}

ValueArray read_array(ByteReader& in) {
  const auto element = in.read<std::uint32_t>();
  if (element >= kValueTypes) refuse_type(in, element);
  if (element == kValueType<ValueArray>) throw Unsupported(in.place() + "arrays of arrays are not supported");
  ValueArray array{element, 0, {}};
  with_element_type(array, [&]<class T>(std::type_identity<T>) {
    array.count = in.read_count(min_bytes<T>());
    const std::uint64_t start = in.position();
    check_items<T>(in, array.count);
    array.bytes = in.since(start);
  });
  return array;
}

template <class T>
Value read_as(ByteReader& in) {
  if constexpr (std::is_same_v<T, bool>) {
    return read_bool(in);
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    return in.read_text();
  } else if constexpr (std::is_same_v<T, ValueArray>) {
    return read_array(in);
  } else {
    return in.read<T>();
  }
}

template <std::size_t... I>
constexpr auto readers(std::index_sequence<I...>) {
  return std::array{&read_as<std::variant_alternative_t<I, Value>>...};
}

template <std::floating_point T>
std::string shortest(T value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string describe_items(const ValueArray& array) {
  ByteReader in(array.bytes, "array");
  std::string out = "[";
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(array.count, kItemsShown); ++i)
    out += (i == 0 ? "" : ", ") + describe(read_value(in, static_cast<std::uint32_t>(array.element)));
  return out + (array.count > kItemsShown ? ", …]" : "]");
}

}  // namespace

std::string type_name(const Value& value) {
  const auto* array = std::get_if<ValueArray>(&value);
  if (array == nullptr) return std::string(kValueTypeNames[value.index()]);
  return std::string(kValueTypeNames[array->element]) + "[" + std::to_string(array->count) + "]";
}

std::string describe(const Value& value) {
  return std::visit(
      []<class T>(const T& v) -> std::string {
        if constexpr (std::is_same_v<T, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::string_view>) {
          return quote(v);
        } else if constexpr (std::is_same_v<T, ValueArray>) {
          return describe_items(v);
        } else if constexpr (std::is_floating_point_v<T>) {
          return shortest(v);
        } else {
          return std::to_string(v);
        }
      },
      value);
}

Value read_value(ByteReader& in, std::uint32_t type) {
  constexpr auto kReaders = readers(std::make_index_sequence<kValueTypes>{});
  if (type >= kValueTypes) refuse_type(in, type);
  return kReaders[type](in);
}

void write_value(ByteWriter& out, const Value& value) {
  std::visit(
      [&]<class T>(const T& v) {
        if constexpr (std::is_same_v<T, bool>) {
          out.write<std::uint8_t>(v ? 1 : 0);
        } else if constexpr (std::is_same_v<T, std::string_view>) {
          out.write_text(v);
        } else if constexpr (std::is_same_v<T, ValueArray>) {
          out.write(static_cast<std::uint32_t>(v.element));
          out.write(v.count);
          out.put(v.bytes);
        } else {
          out.write(v);
        }
      },
      value);
}

std::vector<std::string_view> texts(const ValueArray& array) {
  ByteReader in(array.bytes, "array");
  std::vector<std::string_view> items(array.count);
  for (std::string_view& item : items) item = in.read_text();
  return items;
}

}  // namespace carat
