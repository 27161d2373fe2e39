#include "engine/file/metadata.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"

namespace carat {
namespace {

using Catch::Contains;
using Catch::Equals;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// An array and the bytes it points into.
template <class T>
ByteWriter pack(const std::vector<T>& items) {
  ByteWriter packed;
  for (const T item : items) write_value(packed, Value(item));
  return packed;
}

template <class T>
Value array_of(const ByteWriter& packed, std::uint64_t count) {
  return ValueArray{kValueType<T>, count, packed.bytes()};
}

TEST_CASE("metadata: any integer type passes for a count, if it is in range", "[metadata]") {
  Metadata meta("m.gguf");
  const Value value =
      GENERATE(Value(std::uint8_t{7}), Value(std::int8_t{7}), Value(std::uint16_t{7}), Value(std::int16_t{7}),
               Value(std::uint32_t{7}), Value(std::int32_t{7}), Value(std::uint64_t{7}), Value(std::int64_t{7}));
  meta.add("n", value);
  CHECK(meta.count("n", 1, 7) == 7);
  CHECK(meta.count("n", 7, 512) == 7);
  CHECK_THROWS_AS(meta.count("n", 8, 512), BadFile);
  CHECK_THROWS_AS(meta.count("n", 1, 6), BadFile);
  CHECK_THROWS_AS(meta.real("n", 0, 10), BadFile);
  CHECK_THROWS_AS(meta.text("n"), BadFile);
  CHECK_THROWS_AS(meta.flag("n"), BadFile);
  CHECK_THROWS_AS(meta.integers("n"), BadFile);
}

TEST_CASE("metadata: negative numbers and the largest ones do not wrap into the range", "[metadata]") {
  Metadata meta("m.gguf");
  meta.add("negative", std::int32_t{-1});
  meta.add("largest", std::numeric_limits<std::uint64_t>::max());
  CHECK_THROWS_AS(meta.count("negative", 0, std::numeric_limits<std::size_t>::max()), BadFile);
  CHECK_THROWS_AS(meta.count("largest", 0, std::numeric_limits<std::int64_t>::max()), BadFile);
  CHECK(meta.count("largest", 0, std::numeric_limits<std::size_t>::max()) == std::numeric_limits<std::size_t>::max());
}

TEST_CASE("metadata: messages name the file, the key, what was found and what was expected", "[metadata]") {
  Metadata meta("m.gguf");
  meta.add("llama.block_count", std::uint32_t{4096});
  meta.add("name", std::string_view("Tiny\n\x1b[31m"));
  CHECK_THROWS_WITH(meta.count("llama.block_count", 1, 512),
                    Equals("m.gguf: key 'llama.block_count': is 4096 (u32), expected an integer from 1 to 512"));
  CHECK_THROWS_WITH(meta.count("name", 1, 2),
                    Equals(R"(m.gguf: key 'name': is 'Tiny\n\x1b[31m' (text), expected an integer from 1 to 2)"));
  CHECK_THROWS_WITH(meta.real("llama.block_count", 0, 0.5),
                    Equals("m.gguf: key 'llama.block_count': is 4096 (u32), expected a real number from 0 to 0.5"));
  CHECK_THROWS_WITH(meta.text("x"), Equals("m.gguf: key 'x': is missing"));
}

TEST_CASE("metadata: NaN is in no range, infinity only where a bound is infinite", "[metadata]") {
  Metadata meta("m.gguf");
  meta.add("nan", std::nanf(""));
  meta.add("infinite", kInfinity);
  meta.add("half", 0.5f);
  CHECK_THROWS_AS(meta.real("nan", -kInfinity, kInfinity), BadFile);
  CHECK_THROWS_AS(meta.real("infinite", 0, 1e300), BadFile);
  CHECK(meta.real("infinite", 0, kInfinity) == kInfinity);
  CHECK(meta.real("half", 0, 1) == 0.5);
}

TEST_CASE("metadata: a fallback stands in for a missing key, not for a wrong one", "[metadata]") {
  Metadata meta("m.gguf");
  meta.add("text", std::string_view("x"));
  CHECK(meta.count_or("none", 3, 4, 5) == 3);
  CHECK(meta.real_or("none", 1.5, 0, 1) == 1.5);
  CHECK(meta.text_or("none", "y") == "y");
  CHECK(meta.flag_or("none", true));
  CHECK(meta.text_or("text", "y") == "x");
  CHECK_THROWS_AS(meta.count_or("text", 3, 0, 9), BadFile);
  CHECK_THROWS_AS(meta.real_or("text", 3, 0, 9), BadFile);
  CHECK_THROWS_AS(meta.flag_or("text", true), BadFile);
}

TEST_CASE("metadata: a key may appear once", "[metadata]") {
  Metadata meta("m.gguf");
  meta.add("k", true);
  CHECK_THROWS_WITH(meta.add("k", false), Equals("m.gguf: key 'k': appears twice"));
  CHECK(meta.flag("k"));
}

TEST_CASE("metadata: entries keep the order of the file, also after a move", "[metadata]") {
  Metadata meta("m.gguf");
  for (int i = 100; i > 0; --i) meta.add("key." + std::to_string(i), std::int32_t{i});
  const Metadata moved = std::move(meta);
  CHECK(moved.entries().front().key == "key.100");
  CHECK(moved.entries().back().key == "key.1");
  CHECK(moved.count("key.42", 42, 42) == 42);
  CHECK_FALSE(moved.has("key.101"));
}

TEST_CASE("metadata: arrays give their items by kind", "[metadata]") {
  const ByteWriter texts = pack<std::string_view>({"a", "", std::string_view("\0b", 2)});
  const ByteWriter floats = pack<float>({1.5f, -2.0f});
  const ByteWriter doubles = pack<double>({0.25});
  const ByteWriter shorts = pack<std::int16_t>({-3, 4});
  const ByteWriter bools = pack<bool>({true, false, true});
  Metadata meta("m.gguf");
  meta.add("texts", array_of<std::string_view>(texts, 3));
  meta.add("floats", array_of<float>(floats, 2));
  meta.add("doubles", array_of<double>(doubles, 1));
  meta.add("shorts", array_of<std::int16_t>(shorts, 2));
  meta.add("bools", array_of<bool>(bools, 3));

  CHECK(meta.texts("texts") == std::vector<std::string_view>{"a", "", std::string_view("\0b", 2)});
  CHECK(meta.reals("floats") == std::vector<float>{1.5f, -2.0f});
  CHECK(meta.reals("doubles") == std::vector<float>{0.25f});
  CHECK(meta.integers("shorts") == std::vector<std::int64_t>{-3, 4});
  CHECK(meta.integers("bools") == std::vector<std::int64_t>{1, 0, 1});
  CHECK(meta.is_array("bools"));
  CHECK_FALSE(meta.is_array("none"));

  CHECK_THROWS_AS(meta.integers("shorts", 0, 10), BadFile);
  CHECK_THROWS_AS(meta.integers("floats"), BadFile);
  CHECK_THROWS_AS(meta.reals("shorts"), BadFile);
  CHECK_THROWS_AS(meta.reals("texts"), BadFile);
  CHECK_THROWS_WITH(meta.texts("floats"),
                    Equals("m.gguf: key 'floats': is [1.5, -2] (f32[2]), expected an array of texts"));
}

TEST_CASE("metadata: an empty array is of its type only", "[metadata]") {
  Metadata meta("m.gguf");
  meta.add("none", ValueArray{kValueType<float>, 0, {}});
  CHECK(meta.reals("none").empty());
  CHECK_THROWS_AS(meta.texts("none"), BadFile);
  CHECK_THROWS_AS(meta.integers("none"), BadFile);
}

TEST_CASE("value: a description is one short printable line", "[metadata]") {
  CHECK(describe(std::uint8_t{200}) == "200");
  CHECK(describe(std::int8_t{-5}) == "-5");
  CHECK(describe(1e-6f) == "1e-06");
  CHECK(describe(true) == "true");
  CHECK(describe(std::string_view("it's\t\\")) == R"('it\'s\t\\')");
  CHECK(describe(std::string_view("▁é\xff\xc2\x9b")) == R"('▁é\xff\xc2\x9b')");
  CHECK(describe(std::string_view("\xe2\x80\xae")) == R"('\xe2\x80\xae')");  // right-to-left override
  CHECK(describe(std::string_view("\xc0\xaf\xed\xa0\x80")) == R"('\xc0\xaf\xed\xa0\x80')");
  const std::string long_text(79, 'x');
  CHECK(describe(std::string_view(long_text + "y")) == "'" + long_text + "y'");
  CHECK(describe(std::string_view(long_text + "éy")) == "'" + long_text + "…'");

  const ByteWriter packed = pack<std::string_view>({"<pad>", "<eos>", "<bos>", "a"});
  CHECK(describe(array_of<std::string_view>(packed, 4)) == "['<pad>', '<eos>', '<bos>', …]");
  CHECK(type_name(array_of<std::string_view>(packed, 4)) == "text[4]");
  CHECK(type_name(std::int64_t{1}) == "i64");
}

TEST_CASE("value: what is written is read back, type and all", "[metadata]") {
  const ByteWriter packed = pack<std::string_view>({"a", "bc"});
  const Value values[] = {std::uint8_t{255},
                          std::int8_t{-128},
                          std::uint16_t{65535},
                          std::int16_t{-32768},
                          std::uint32_t{1} << 31,
                          std::int32_t{-1},
                          -0.5f,
                          true,
                          std::string_view("text"),
                          array_of<std::string_view>(packed, 2),
                          std::uint64_t{1} << 63,
                          std::int64_t{-1},
                          1e300};
  for (const Value& value : values) {
    ByteWriter out;
    write_value(out, value);
    ByteReader in(out.bytes(), "value");
    const Value again = read_value(in, static_cast<std::uint32_t>(value.index()));
    CHECK(in.remaining() == 0);
    CHECK(type_name(again) == type_name(value));
    CHECK(describe(again) == describe(value));
  }
}

TEST_CASE("reader: a read past the end says where, and what was left", "[metadata]") {
  const std::vector<std::byte> bytes(6);
  ByteReader in(bytes, "f");
  in.skip(4);
  CHECK_THROWS_WITH(in.read<std::uint32_t>(), Equals("f: at byte 4: needs 4 bytes, but 2 are left"));
  CHECK_THROWS_WITH(in.take(~std::uint64_t{0}), Contains("at byte 4"));
  CHECK(in.position() == 4);
  CHECK(in.read<std::uint16_t>() == 0);
}

}  // namespace
}  // namespace carat
