#include <algorithm>
#include <bit>
#include <utility>

#include "engine/file/byte_reader.h"
#include "engine/file/gguf.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

// The least that a key with its value and a tensor's entry take: what bounds their counts.
constexpr std::uint64_t kMinValueBytes = 8 + 1 + 4 + 1;       // length, key, type, value
constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;  // length, name, n_dims, type, offset

constexpr std::size_t kMaxAlignment = std::size_t{1} << 30;
constexpr std::size_t kMaxParts = 999;

// Types that files may have and we do not, first to last id.
struct OtherType {
  std::uint32_t first, last;
  std::string_view name;
};
constexpr OtherType kOtherTypes[] = {
    {4, 5, "q4_2 or q4_3, removed from GGML"},
    {9, 9, "q8_1"},
    {15, 15, "q8_k"},
    {16, 16, "iq2_xxs"},
    {17, 17, "iq2_xs"},
    {18, 18, "iq3_xxs"},
    {19, 19, "iq1_s"},
    {21, 21, "iq3_s"},
    {22, 22, "iq2_s"},
    {24, 24, "i8"},
    {25, 25, "i16"},
    {26, 26, "i32"},
    {27, 27, "i64"},
    {28, 28, "f64"},
    {29, 29, "iq1_m"},
    {31, 33, "q4_0 interleaved, removed from GGML"},
    {34, 34, "tq1_0"},
    {35, 35, "tq2_0"},
    {36, 36, "i2_s of ik_llama.cpp, or iq4_nl interleaved, removed from GGML"},
    {37, 38, "iq4_nl interleaved, removed from GGML"},
    {39, 39, "mxfp4"},
    {40, 40, "nvfp4"},
    {41, 41, "q1_0"},
    {42, 42, "q2_0"},
    {97, 99, "a type of ik_llama.cpp"},
    {133, 133, "q6_0 of ik_llama.cpp"},
    {134, 158, "a type of ik_llama.cpp"},
    {202, 399, "a row-interleaved type of ik_llama.cpp"},
};

[[noreturn]] void refuse_type(const ByteReader& in, std::string_view tensor, std::uint32_t id) {
  const auto known =
      std::ranges::find_if(kOtherTypes, [&](const OtherType& type) { return type.first <= id && id <= type.last; });
  const std::string_view name = known == std::end(kOtherTypes) ? "unknown" : known->name;
  std::string why = "tensor " + quote(tensor) + ": type " + std::to_string(id) + " (" + std::string(name) + ")";
  why += " is not supported; these are:";
  for (const DTypeInfo& type : kDTypes)
    if (type.gguf) why += " " + std::string(type.name);
  throw Unsupported(in.place() + why);
}

std::uint32_t read_version(ByteReader& in) {
  const auto version = in.read<std::uint32_t>();
  if (version == 2 || version == 3) return version;
  const std::string place = in.place();
  if (version == 0) throw BadFile(place + "GGUF version 0 does not exist");
  if (version == 1)
    throw Unsupported(place + "GGUF version 1, of August 2023, is not supported: convert the original model again");
  if ((version & 0xFFFF) == 0)
    throw Unsupported(place + "a big-endian GGUF file is not supported: convert it with gguf_convert_endian.py");
  throw Unsupported(place + "GGUF version " + std::to_string(version) + " is not supported, only 2 and 3 are");
}

void read_values(ByteReader& in, std::uint64_t count, Metadata& metadata) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = in.read_text();
    if (key.empty()) in.fail("a key is empty");
    if (key.size() > kGgufMaxKeyBytes) in.fail("a key has " + std::to_string(key.size()) + " bytes, more than 65535");
    const auto type = in.read<std::uint32_t>();
    metadata.add(std::string(key), read_value(in, type));
  }
}

FileTensor read_tensor(ByteReader& in) {
  FileTensor tensor;
  tensor.name = in.read_text();
  if (tensor.name.empty()) in.fail("a tensor has no name");
  if (tensor.name.size() > kGgufMaxNameBytes)
    in.fail("the tensor name " + quote(tensor.name) + " has " + std::to_string(tensor.name.size()) +
            " bytes, more than " + std::to_string(kGgufMaxNameBytes));
  tensor.n_dims = in.read<std::uint32_t>();
  if (tensor.n_dims > tensor.dims.size())
    in.fail("tensor " + quote(tensor.name) + ": has " + std::to_string(tensor.n_dims) +
            " dimensions, expected at most " + std::to_string(tensor.dims.size()));
  for (std::size_t i = 0; i < tensor.n_dims; ++i) tensor.dims[i] = in.read<std::uint64_t>();
  const auto type = in.read<std::uint32_t>();
  const auto dtype = dtype_from_gguf(type);
  if (!dtype) refuse_type(in, tensor.name, type);
  tensor.dtype = *dtype;
  tensor.offset = in.read<std::uint64_t>();
  return tensor;
}

std::uint64_t alignment_of(const Metadata& metadata, const std::string& path) {
  const std::size_t alignment = metadata.count_or("general.alignment", kGgufAlignment, 8, kMaxAlignment);
  if (!std::has_single_bit(alignment))
    throw BadFile(path + ": key 'general.alignment': is " + std::to_string(alignment) + ", expected a power of two");
  return alignment;
}

FilePart read_part(MappedFile mapping, std::span<const std::byte> bytes, const std::string& path) {
  FilePart part{.path = path, .mapping = std::move(mapping), .bytes = bytes, .metadata = Metadata(path), .tensors = {}};
  ByteReader in(bytes, path);
  if (!is_gguf(in.take(kGgufMagic.size()))) in.fail("is not a GGUF file");
  part.version = read_version(in);
  const std::uint64_t tensor_count = in.read_count(kMinTensorBytes);
  const std::uint64_t value_count = in.read_count(kMinValueBytes);
  read_values(in, value_count, part.metadata);
  for (std::uint64_t i = 0; i < tensor_count; ++i) part.tensors.push_back(read_tensor(in));
  part.alignment = alignment_of(part.metadata, path);
  part.data_start = round_up(in.position(), part.alignment);
  return part;
}

FilePart map_part(const std::filesystem::path& path, const Loading& loading) {
  MappedFile mapping = MappedFile::open(path, loading);
  const std::span<const std::byte> bytes = mapping.bytes();
  return read_part(std::move(mapping), bytes, path.string());
}

// 0 and 1 are files in one piece: llama.cpp leaves 0 behind when it joins a set.
std::size_t split_count(const Metadata& metadata) { return metadata.count_or("split.count", 1, 0, kMaxParts); }

// "-00002-of-00003.gguf" for part 1 of 3.
std::string split_suffix(std::size_t part, std::size_t count) {
  const auto five_digits = [](std::size_t n) {
    const std::string digits = std::to_string(n);
    return std::string(5 - digits.size(), '0') + digits;
  };
  return "-" + five_digits(part + 1) + "-of-" + five_digits(count) + ".gguf";
}

std::string part_of(std::size_t part, std::size_t count) {
  return "part " + std::to_string(part + 1) + " of " + std::to_string(count);
}

// The path of the set without the suffix of its parts, found from the path of one of them.
std::string split_prefix(const FilePart& given) {
  const std::size_t count = split_count(given.metadata);
  const std::size_t number = given.metadata.count("split.no", 0, count - 1);
  const std::string suffix = split_suffix(number, count);
  if (!given.path.ends_with(suffix))
    throw BadFile(given.path + ": is " + part_of(number, count) + ", whose name must end in " + quote(suffix) +
                  " for the other parts to be found");
  return given.path.substr(0, given.path.size() - suffix.size());
}

FilePart map_split(const std::string& prefix, std::size_t number, std::size_t count, const Loading& loading) {
  const std::filesystem::path path = prefix + split_suffix(number, count);
  if (!std::filesystem::exists(path)) throw BadFile(path.string() + ": is missing, " + part_of(number, count));
  FilePart part = map_part(path, loading);
  const std::size_t found_count = part.metadata.count("split.count", 1, kMaxParts);
  const std::size_t found = part.metadata.count("split.no", 0, found_count - 1);
  if (found != number || found_count != count)
    throw BadFile(part.path + ": is " + part_of(found, found_count) + ", expected " + part_of(number, count));
  return part;
}

// `given` is any of the parts, and is opened again in its turn.
ModelFile read_split(FilePart given) {
  const std::string prefix = split_prefix(given);
  const std::size_t count = split_count(given.metadata);
  const Loading loading = given.mapping.loading();
  given.mapping = MappedFile();
  std::vector<FilePart> parts;
  std::size_t tensors = 0;
  for (std::size_t i = 0; i < count; ++i) {
    parts.push_back(map_split(prefix, i, count, loading));
    tensors += parts.back().tensors.size();
  }
  const Metadata& metadata = parts.front().metadata;
  const std::size_t expected = metadata.count_or("split.tensors.count", tensors, 0, SIZE_MAX);
  if (expected != tensors)
    throw BadFile(parts.front().path + ": the parts hold " + std::to_string(tensors) + " tensors, expected " +
                  std::to_string(expected));
  return {"gguf", std::move(parts)};
}

ModelFile whole(FilePart part) {
  std::vector<FilePart> parts;
  parts.push_back(std::move(part));
  return {"gguf", std::move(parts)};
}

}  // namespace

bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= kGgufMagic.size() &&
         std::ranges::equal(bytes.first(kGgufMagic.size()), std::as_bytes(std::span(kGgufMagic)));
}

ModelFile read_gguf(MappedFile file, const std::filesystem::path& path) {
  const std::span<const std::byte> bytes = file.bytes();
  FilePart part = read_part(std::move(file), bytes, path.string());
  return split_count(part.metadata) > 1 ? read_split(std::move(part)) : whole(std::move(part));
}

ModelFile parse_gguf(std::span<const std::byte> bytes, const std::string& name) {
  FilePart part = read_part(MappedFile(), bytes, name);
  if (const std::size_t count = split_count(part.metadata); count > 1)
    throw BadFile(name + ": is one of " + std::to_string(count) + " parts, which can only be opened by name");
  return whole(std::move(part));
}

}  // namespace carat
