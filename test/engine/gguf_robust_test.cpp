// Spoilt files: whatever the bytes, the reader refuses or gives what lies inside them.
#include <functional>

#include "engine/file/gguf.h"
#include "test/support/catch.h"
#include "test/support/corrupt.h"

namespace carat {
namespace {

using Catch::Contains;
using test::Bytes;

Bytes written(const GgufWriter& writer) {
  Bytes out;
  writer.write([&](std::span<const std::byte> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); });
  return out;
}

// One value of each kind, and tensors of several types and shapes.
Bytes small_file() {
  const Bytes data(2 * 34, std::byte{1});
  const std::span<const std::byte> bytes(data);
  GgufWriter writer;
  writer.set("general.architecture", std::string_view("llama"));
  writer.set("llama.block_count", std::uint32_t{1});
  writer.set("eps", 1e-5f);
  writer.set("flag", true);
  writer.set_array<std::string_view>("tokens", {"a", "bc", ""});
  writer.set_array<std::int32_t>("kinds", {1, 2, 3});
  writer.set_array<bool>("flags", {true, false});
  writer.add_tensor("q", DType::q8_0, {32, 2}, bytes);
  writer.add_tensor("norm", DType::f32, {3}, bytes.first(12));
  writer.add_tensor("one", DType::f16, {}, bytes.first(2));
  writer.add_tensor("cube", DType::f16, {2, 1, 3}, bytes.first(12));
  return written(writer);
}

std::size_t header_size(const Bytes& whole) {
  return static_cast<std::size_t>(parse_gguf(whole, "f").tensors().front().bytes.data() - whole.data());
}

// Reads every byte that the file promises to hold, so that a sanitizer sees a promise that is not kept.
void touch(const ModelFile& file) {
  unsigned sum = 0;
  for (const FileTensor& tensor : file.tensors())
    for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
  for (const Metadata::Entry& entry : file.metadata().entries()) {
    sum += static_cast<unsigned>(describe(entry.value).size());
    const auto* array = std::get_if<ValueArray>(&entry.value);
    if (array != nullptr && array->element == kValueType<std::string_view>)
      for (const std::string_view text : file.metadata().texts(entry.key)) sum += static_cast<unsigned>(text.size());
  }
  volatile unsigned kept = sum;
  (void)kept;
}

// Errors of ours mean refused; anything else that is thrown fails the test.
bool opens(const Bytes& bytes) {
  try {
    touch(parse_gguf(bytes, "f"));
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST_CASE("gguf: every truncation is refused, none is read past its end", "[gguf][robust]") {
  const Bytes whole = small_file();
  REQUIRE(opens(whole));
  const std::size_t needed =
      whole.size() - 20;  // the last tensor has 12 of its 32 aligned bytes; padding may be missing
  test::for_each_prefix(whole, [&](const Bytes& cut) {
    INFO("prefix of " << cut.size());
    REQUIRE(opens(cut) == (cut.size() >= needed));
  });
}

TEST_CASE("gguf: every change of a byte of the header is refused or harmless", "[gguf][robust]") {
  const Bytes whole = small_file();
  std::size_t total = 0;
  std::size_t accepted = 0;
  test::for_each_flip(whole, header_size(whole), [&](const Bytes& spoilt) {
    ++total;
    accepted += opens(spoilt);
  });
  CHECK(accepted > 0);  // letters of names, digits of values
  CHECK(accepted < total);
}

TEST_CASE("gguf: every field of the header survives extreme values", "[gguf][robust]") {
  const Bytes whole = small_file();
  std::size_t refused = 0;
  const auto count_refused = [&](const Bytes& spoilt) { refused += !opens(spoilt); };
  test::for_each_extreme<std::uint32_t>(whole, header_size(whole), count_refused);
  test::for_each_extreme<std::uint64_t>(whole, header_size(whole), count_refused);
  CHECK(refused > 0);
}

TEST_CASE("gguf: bytes after the last tensor are ignored", "[gguf][robust]") {
  Bytes longer = small_file();
  longer.resize(longer.size() + 1000);
  CHECK(opens(longer));
}

// A file made by hand: sound as it is, until a test changes something that no writer would write.
struct DraftTensor {
  std::string name = "t";
  std::uint32_t n_dims = 1;
  std::vector<std::uint64_t> dims = {8};
  std::uint32_t type = 0;  // f32
  std::uint64_t offset = 0;
};

struct Draft {
  std::string_view magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t more_tensors = 0;  // promised, not there
  std::uint64_t more_values = 0;
  std::vector<std::function<void(ByteWriter&)>> values;
  std::vector<DraftTensor> tensors = {{}};
  std::uint64_t alignment = 32;
  std::uint64_t data = 32;

  Bytes bytes() const {
    ByteWriter out;
    out.put(std::as_bytes(std::span(magic)));
    out.write(version);
    out.write(tensors.size() + more_tensors);
    out.write(values.size() + more_values);
    for (const auto& value : values) value(out);
    for (const DraftTensor& tensor : tensors) {
      out.write_text(tensor.name);
      out.write(tensor.n_dims);
      for (const std::uint64_t dim : tensor.dims) out.write(dim);
      out.write(tensor.type);
      out.write(tensor.offset);
    }
    out.pad(alignment);
    out.put(Bytes(data));
    return std::move(out).finish();
  }

  void set(std::string_view key, const Value& value) {
    values.push_back([key, value](ByteWriter& out) {
      out.write_text(key);
      out.write(static_cast<std::uint32_t>(value.index()));
      write_value(out, value);
    });
  }

  // A key with a type and then whatever is written.
  void set_raw(std::uint32_t type, std::function<void(ByteWriter&)> payload) {
    values.push_back([type, payload](ByteWriter& out) {
      out.write_text("k");
      out.write(type);
      payload(out);
    });
  }
};

template <class T>
std::function<void(ByteWriter&)> just(T value) {
  return [value](ByteWriter& out) { out.write(value); };
}

// The head of an array: the type of its items, and how many it promises.
std::function<void(ByteWriter&)> array_head(std::uint32_t element, std::uint64_t count) {
  return [=](ByteWriter& out) {
    out.write(element);
    out.write(count);
  };
}

struct Case {
  const char* name;
  std::function<void(Draft&)> spoil;
  const char* message;
};

constexpr std::uint64_t kHuge = std::uint64_t{1} << 62;

const std::vector<Case> kBad = {
    {"magic", [](Draft& d) { d.magic = "GGUX"; }, "f: at byte 0: is not a GGUF file"},
    {"version 0", [](Draft& d) { d.version = 0; }, "f: at byte 4: GGUF version 0 does not exist"},
    {"too many tensors", [](Draft& d) { d.more_tensors = 1; }, "at byte"},
    {"huge tensor count", [](Draft& d) { d.more_tensors = kHuge; }, "f: at byte 8: a count of"},
    {"negative tensor count", [](Draft& d) { d.more_tensors = ~std::uint64_t{1}; }, "f: at byte 8: a count of"},
    {"too many values", [](Draft& d) { d.more_values = 1; }, "at byte"},
    {"huge value count", [](Draft& d) { d.more_values = kHuge; }, "f: at byte 16: a count of"},
    {"empty key", [](Draft& d) { d.set("", true); }, "a key is empty"},
    {"huge key", [](Draft& d) { d.values.push_back(just(kHuge)); }, "f: at byte 24: a count of"},
    {"key too long",
     [](Draft& d) {
       static const std::string kLong(65536, 'k');
       d.set(kLong, true);
     },
     "a key has 65536 bytes"},
    {"value type 13", [](Draft& d) { d.set_raw(13, just<std::uint64_t>(0)); }, "value type 13 is unknown"},
    {"value type huge", [](Draft& d) { d.set_raw(~0u, just<std::uint64_t>(0)); }, "value type 4294967295 is unknown"},
    {"bool 2", [](Draft& d) { d.set_raw(7, just<std::uint8_t>(2)); }, "a bool is 2, expected 0 or 1"},
    {"huge text", [](Draft& d) { d.set_raw(8, just(kHuge)); }, "a count of 4611686018427387904 is more than"},
    {"array item type", [](Draft& d) { d.set_raw(9, array_head(99, 1)); }, "value type 99 is unknown"},
    {"huge array of numbers", [](Draft& d) { d.set_raw(9, array_head(12, kHuge)); }, "a count of"},
    {"huge array of texts", [](Draft& d) { d.set_raw(9, array_head(8, kHuge)); }, "a count of"},
    {"array whose size wraps", [](Draft& d) { d.set_raw(9, array_head(10, kHuge / 4 + 1)); }, "a count of"},
    {"array item too long",
     [](Draft& d) {
       d.set_raw(9, [](ByteWriter& out) {
         array_head(8, 1)(out);
         out.write(kHuge);
       });
     },
     "a count of"},
    {"array of bools",
     [](Draft& d) {
       d.set_raw(9, [](ByteWriter& out) {
         array_head(7, 2)(out);
         out.write<std::uint16_t>(0x0301);
       });
     },
     "a bool is 3"},
    {"duplicate key",
     [](Draft& d) {
       d.set("k", true);
       d.set("k", true);
     },
     "f: key 'k': appears twice"},
    {"alignment 0", [](Draft& d) { d.set("general.alignment", std::uint32_t{0}); },
     "f: key 'general.alignment': is 0 (u32), expected an integer from 8"},
    {"alignment 4", [](Draft& d) { d.set("general.alignment", std::uint32_t{4}); }, "expected an integer from 8"},
    {"alignment 24", [](Draft& d) { d.set("general.alignment", std::uint32_t{24}); }, "expected a power of two"},
    {"alignment huge", [](Draft& d) { d.set("general.alignment", kHuge); }, "expected an integer from 8"},
    {"alignment no number", [](Draft& d) { d.set("general.alignment", std::string_view("32")); }, "is '32' (text)"},
    {"alignment beyond the file",
     [](Draft& d) {
       d.set("general.alignment", std::uint32_t{1} << 30);
       d.alignment = 32;
     },
     "is larger than the 0 bytes of tensor data"},
    {"offsets of another alignment",
     [](Draft& d) {
       d.set("general.alignment", std::uint32_t{64});
       d.alignment = 64;
       d.tensors[0].offset = 32;
       d.data = 64;
     },
     "offset 32 is not a multiple of 64"},
    {"no tensor name", [](Draft& d) { d.tensors[0].name = ""; }, "a tensor has no name"},
    {"tensor name too long", [](Draft& d) { d.tensors[0].name = std::string(65, 'n'); }, "has 65 bytes, more than 64"},
    {"five dimensions",
     [](Draft& d) {
       d.tensors[0].n_dims = 5;
       d.tensors[0].dims = {8, 1, 1, 1, 1};
     },
     "tensor 't': has 5 dimensions, expected at most 4"},
    {"dimension 0", [](Draft& d) { d.tensors[0].dims = {0}; }, "f: tensor 't': has a dimension of 0"},
    {"negative dimension", [](Draft& d) { d.tensors[0].dims = {~std::uint64_t{0}}; }, "is larger than the 32 bytes"},
    {"product wraps",
     [](Draft& d) {
       d.tensors[0].n_dims = 4;
       d.tensors[0].dims = {std::uint64_t{1} << 32, std::uint64_t{1} << 31, 2, 1};
     },
     "is larger than the 32 bytes"},
    {"bytes wrap", [](Draft& d) { d.tensors[0].dims = {kHuge}; }, "is larger than the 32 bytes"},
    {"row of part of a block",
     [](Draft& d) {
       d.tensors[0].type = 8;
       d.tensors[0].n_dims = 2;
       d.tensors[0].dims = {16, 2};
     },
     "has rows of 16 elements, but q8_0 comes in blocks of 32"},
    {"offset not aligned",
     [](Draft& d) {
       d.tensors[0].offset = 8;
       d.data = 64;
     },
     "offset 8 is not a multiple of 32"},
    {"offset outside", [](Draft& d) { d.tensors[0].offset = 32; }, "ends outside the file"},
    {"offset wraps", [](Draft& d) { d.tensors[0].offset = ~std::uint64_t{31}; }, "ends outside the file"},
    {"one byte short", [](Draft& d) { d.data = 31; }, "is larger than the 31 bytes of tensor data"},
    {"no data", [](Draft& d) { d.data = 0; }, "is larger than the 0 bytes of tensor data"},
    {"overlap",
     [](Draft& d) {
       d.tensors = {{"a", 1, {16}, 0, 32}, {"b", 1, {16}, 0, 0}};
       d.data = 96;
     },
     "f: tensor 'b': overlaps tensor 'a'"},
    {"same place",
     [](Draft& d) {
       d.tensors = {{"a"}, {"b"}};
     },
     "f: tensor 'a': overlaps tensor 'b'"},
    {"duplicate tensor",
     [](Draft& d) {
       d.tensors = {{"a"}, {"a", 1, {8}, 0, 32}};
       d.data = 64;
     },
     "f: tensor 'a': appears twice"},
};

TEST_CASE("gguf: each handmade bad file is refused for its own reason", "[gguf][robust]") {
  REQUIRE(opens(Draft().bytes()));
  for (const Case& bad : kBad) {
    Draft draft;
    bad.spoil(draft);
    const Bytes bytes = draft.bytes();
    INFO(bad.name);
    CHECK_THROWS_AS(parse_gguf(bytes, "f"), BadFile);
    CHECK_THROWS_WITH(parse_gguf(bytes, "f"), Contains(bad.message));
  }
}

const std::vector<Case> kForeign = {
    {"version 1", [](Draft& d) { d.version = 1; }, "f: at byte 4: GGUF version 1, of August 2023"},
    {"version 4", [](Draft& d) { d.version = 4; }, "GGUF version 4 is not supported, only 2 and 3 are"},
    {"big-endian", [](Draft& d) { d.version = 0x03000000; }, "big-endian"},
    {"nested array", [](Draft& d) { d.set_raw(9, array_head(9, 0)); }, "arrays of arrays are not supported"},
    {"type of this world", [](Draft& d) { d.tensors[0].type = 16; },
     "tensor 't': type 16 (iq2_xxs) is not supported; these are: f32 f16 bf16 q4_0"},
    {"type of another world", [](Draft& d) { d.tensors[0].type = 139; }, "type 139 (a type of ik_llama.cpp)"},
    {"type of no world", [](Draft& d) { d.tensors[0].type = 1000; }, "type 1000 (unknown)"},
    {"projector", [](Draft& d) { d.set("general.type", std::string_view("mmproj")); },
     "f: is of type 'mmproj', expected a language model"},
};

TEST_CASE("gguf: sound files of kinds we do not know are unsupported, by name", "[gguf][robust]") {
  for (const Case& foreign : kForeign) {
    Draft draft;
    foreign.spoil(draft);
    const Bytes bytes = draft.bytes();
    INFO(foreign.name);
    CHECK_THROWS_AS(parse_gguf(bytes, "f"), Unsupported);
    CHECK_THROWS_WITH(parse_gguf(bytes, "f"), Contains(foreign.message));
  }
}

const std::vector<Case> kGood = {
    {"version 2", [](Draft& d) { d.version = 2; }, ""},
    {"no tensors, no padding",
     [](Draft& d) {
       d.tensors.clear();
       d.alignment = 1;
       d.data = 0;
     },
     ""},
    {"no tensors, large alignment",
     [](Draft& d) {
       d.set("general.alignment", std::uint32_t{1} << 30);
       d.tensors.clear();
       d.data = 0;
     },
     ""},
    {"alignment 8, as any integer",
     [](Draft& d) {
       d.set("general.alignment", std::int64_t{8});
       d.alignment = 8;
       d.tensors = {{"a", 1, {2}, 0, 0}, {"b", 1, {2}, 0, 8}};
       d.data = 16;
     },
     ""},
    {"alignment 64",
     [](Draft& d) {
       d.set("general.alignment", std::uint32_t{64});
       d.alignment = 64;
       d.tensors = {{"a"}, {"b", 1, {8}, 0, 64}};
       d.data = 96;
     },
     ""},
    {"gaps, any order",
     [](Draft& d) {
       d.tensors = {{"a", 1, {8}, 0, 96}, {"b", 1, {8}, 0, 0}};
       d.data = 128;
     },
     ""},
    {"one element without dimensions",
     [](Draft& d) {
       d.tensors[0].n_dims = 0;
       d.tensors[0].dims = {};
     },
     ""},
    {"name of 64 bytes", [](Draft& d) { d.tensors[0].name = std::string(64, 'n'); }, ""},
    {"a model, it says", [](Draft& d) { d.set("general.type", std::string_view("model")); }, ""},
    {"joined from parts", [](Draft& d) { d.set("split.count", std::uint16_t{0}); }, ""},
};

TEST_CASE("gguf: what other writers may do is accepted", "[gguf][robust]") {
  for (const Case& good : kGood) {
    Draft draft;
    good.spoil(draft);
    INFO(good.name);
    CHECK_NOTHROW(touch(parse_gguf(draft.bytes(), "f")));
  }
}

}  // namespace
}  // namespace carat
