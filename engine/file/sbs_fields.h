// How gemma.cpp serialises structs ("IFields"): words of 32 bits, each struct behind its length, fields by position.
// A struct is described by an overload of `visit_fields(Struct&, Fields&)` that hands each field to `fields`, in order.
#pragma once
#include <cmath>
#include <concepts>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/file/byte_reader.h"
#include "engine/file/byte_writer.h"

namespace carat {

inline constexpr std::uint32_t kSbsMaxTextWords = 64;
inline constexpr std::uint32_t kSbsMaxItems = 65536;

// Fields up to `end`, a position in the reader. Those that are not there, as in older files, keep their values.
class SbsFieldReader {
 public:
  SbsFieldReader(ByteReader& in, std::uint64_t end) : in_(in), end_(end) {}

  template <class Field>
  void operator()(Field& field) {
    if (in_.position() < end_) read(field);
  }

  // A struct's length, then its fields. Words that follow those we know, as in newer files, are skipped.
  template <class Struct>
  void read_struct(Struct& fields) {
    const std::uint32_t words = read_length();
    SbsFieldReader inner(in_, in_.position() + 4 * std::uint64_t{words});
    visit_fields(fields, inner);
    in_.skip(inner.end_ - in_.position());
  }

 private:
  std::uint32_t read_word() {
    if (end_ - in_.position() < 4) in_.fail("a field runs past the end of its struct");
    return in_.read<std::uint32_t>();
  }
  // A number of things of at least a word each.
  std::uint32_t read_length() {
    const std::uint32_t length = read_word();
    if (length > (end_ - in_.position()) / 4)
      in_.fail("a length of " + std::to_string(length) + " words, but " + std::to_string((end_ - in_.position()) / 4) +
               " are left");
    return length;
  }

  template <class Field>
  requires std::same_as<Field, std::uint32_t> || std::same_as<Field, std::int32_t> || std::is_enum_v<Field>
  void read(Field& field) { field = static_cast<Field>(read_word()); }
  void read(float& field) {
    field = std::bit_cast<float>(read_word());
    if (!std::isfinite(field)) in_.fail("a real number is infinite or none");
  }
  void read(bool& field) {
    const std::uint32_t word = read_word();
    if (word > 1) in_.fail("a bool is " + std::to_string(word) + ", expected 0 or 1");
    field = word == 1;
  }
  void read(std::string& field) {
    const std::uint32_t words = read_length();
    if (words > kSbsMaxTextWords) in_.fail("a text of " + std::to_string(words) + " words, more than 64");
    const auto bytes = in_.take(4 * std::uint64_t{words});
    field.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    field.erase(field.find_last_not_of('\0') + 1);
    for (const char c : field)
      if (static_cast<unsigned char>(c) - 1u >= 127) in_.fail("a text holds a byte that is not ASCII");
  }
  template <class Item>
  void read(std::vector<Item>& field) {
    const std::uint32_t count = read_length();
    if (count > kSbsMaxItems) in_.fail("a list of " + std::to_string(count) + " items, more than 65536");
    field.assign(count, Item());
    for (Item& item : field) read(item);
  }
  template <class Struct>
  requires std::is_class_v<Struct>
  void read(Struct& field) { read_struct(field); }

  ByteReader& in_;
  std::uint64_t end_;
};

// Writes what SbsFieldReader reads, every field.
class SbsFieldWriter {
 public:
  template <class Field>
  void operator()(Field& field) {
    write(field);
  }

  template <class Struct>
  void write_struct(Struct& fields) {
    SbsFieldWriter inner;
    visit_fields(fields, inner);
    out_.write(static_cast<std::uint32_t>(inner.out_.position() / 4));
    out_.put(inner.out_.bytes());
  }

  std::vector<std::byte> finish() && { return std::move(out_).finish(); }

 private:
  template <class Field>
  requires std::is_arithmetic_v<Field> || std::is_enum_v<Field>
  void write(Field field) {
    if constexpr (std::is_floating_point_v<Field>) {
      out_.write(field);
    } else {
      out_.write(static_cast<std::uint32_t>(field));
    }
  }
  void write(std::string& field) {
    out_.write(static_cast<std::uint32_t>((field.size() + 3) / 4));
    out_.put(std::as_bytes(std::span(field)));
    out_.pad(4);
  }
  template <class Item>
  void write(std::vector<Item>& field) {
    out_.write(static_cast<std::uint32_t>(field.size()));
    for (Item& item : field) write(item);
  }
  template <class Struct>
  requires std::is_class_v<Struct>
  void write(Struct& field) { write_struct(field); }

  ByteWriter out_;
};

}  // namespace carat
