// One value of a model file's metadata: a number, a bool, a text, or an array of one of these.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "engine/file/byte_reader.h"
#include "engine/file/byte_writer.h"

namespace carat {

// Items packed as in the file: numbers and bools back to back, texts each behind a u64 of its length. A view, whose
// bytes were checked to their end when it was read.
struct ValueArray {
  std::size_t element;  // the type of each item, as an index into Value
  std::uint64_t count;
  std::span<const std::byte> bytes;
};

// The alternatives stand in the order of GGUF's type ids, so that `index()` is the id. Texts are views.
using Value = std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float,
                           bool, std::string_view, ValueArray, std::uint64_t, std::int64_t, double>;
inline constexpr std::size_t kValueTypes = std::variant_size_v<Value>;

template <class T>
inline constexpr std::size_t kValueType = Value(T{}).index();

inline constexpr std::array<std::string_view, kValueTypes> kValueTypeNames = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "text", "array", "u64", "i64", "f64"};
static_assert(kValueTypeNames[kValueType<std::string_view>] == "text" && kValueTypeNames[kValueType<double>] == "f64");

// "u32", or "text[262144]" for an array.
std::string type_name(const Value& value);

// One short printable line: "26", "'gemma3'", "['<pad>', '<eos>', '<bos>', …]".
std::string describe(const Value& value);

// Reads the value of the type with this id. The result points into the reader's bytes; arrays are checked, not copied.
// Throws BadFile, and Unsupported for arrays of arrays.
Value read_value(ByteReader& in, std::uint32_t type);

// Writes what `read_value` reads.
void write_value(ByteWriter& out, const Value& value);

// The items of an array of texts.
std::vector<std::string_view> texts(const ValueArray& array);

// Calls `visit(std::type_identity<T>)` with the type of the array's items.
template <class Visit, std::size_t... I>
void with_element_type(const ValueArray& array, Visit visit, std::index_sequence<I...>) {
  (void)((array.element == I && (visit(std::type_identity<std::variant_alternative_t<I, Value>>{}), true)) || ...);
}

template <class Visit>
void with_element_type(const ValueArray& array, Visit visit) {
  with_element_type(array, visit, std::make_index_sequence<kValueTypes>{});
}

}  // namespace carat
