#include "convert/safetensors.h"

#include <algorithm>
#include <array>
#include <set>

#include "convert/json_file.h"
#include "engine/error.h"
#include "engine/file/byte_reader.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the reference

struct ElementType {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array kElementTypes = {
    ElementType{"F64", 8},  ElementType{"I64", 8},     ElementType{"U64", 8},     ElementType{"F32", 4},
    ElementType{"I32", 4},  ElementType{"U32", 4},     ElementType{"F16", 2},     ElementType{"BF16", 2},
    ElementType{"I16", 2},  ElementType{"U16", 2},     ElementType{"I8", 1},      ElementType{"U8", 1},
    ElementType{"BOOL", 1}, ElementType{"F8_E4M3", 1}, ElementType{"F8_E5M2", 1},
};

std::uint64_t whole_number(const Json& value, const JsonKeys& keys, const char* key) {
  if (!value.is_number_unsigned()) keys.refuse(key, "holds what is no whole number");
  return value.get<std::uint64_t>();
}

// `room`: the bytes of tensor data in the file, which start at `data`.
SafetensorsEntry parse_entry(const std::string& name, const Json& json, const std::string& path, std::uint64_t data,
                             std::uint64_t room) {
  const std::string where = path + ": tensor " + quote(name);
  const JsonKeys keys(json, where);
  SafetensorsEntry entry{name, keys.text_or("dtype", ""), {}, 0, 0};
  const auto type = std::ranges::find(kElementTypes, entry.dtype, &ElementType::name);
  if (type == kElementTypes.end()) throw Unsupported(where + ": dtype: " + quote(entry.dtype) + " is not known");
  if (!keys.at("shape").is_array()) keys.refuse("shape", "is not an array");
  std::uint64_t size = type->bytes;
  for (const Json& item : keys.at("shape")) {
    const std::uint64_t dim = whole_number(item, keys, "shape");
    if (dim != 0 && size > room / dim) keys.refuse("shape", "is larger than the file");
    size *= dim;
    entry.shape.push_back(dim);
  }
  const Json& offsets = keys.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) keys.refuse("data_offsets", "is not a pair");
  const std::uint64_t begin = whole_number(offsets[0], keys, "data_offsets");
  const std::uint64_t end = whole_number(offsets[1], keys, "data_offsets");
  if (begin > end || end > room)
    keys.refuse("data_offsets", std::to_string(begin) + " to " + std::to_string(end) + " does not lie in the " +
                                    std::to_string(room) + " bytes of tensor data: was the file cut short?");
  if (end - begin != size)
    keys.refuse("data_offsets",
                "has room for " + std::to_string(end - begin) + " bytes, but the shape takes " + std::to_string(size));
  entry.offset = data + begin;
  entry.bytes = size;
  return entry;
}

}  // namespace

std::optional<DType> SafetensorsEntry::stored_as() const {
  if (dtype == "F32") return DType::f32;
  if (dtype == "F16") return DType::f16;
  if (dtype == "BF16") return DType::bf16;
  return std::nullopt;
}

std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> bytes, const std::string& path) {
  ByteReader in(bytes, path);
  const std::uint64_t length = in.read_count(1);
  if (length > kMaxHeader) in.fail("a directory of " + std::to_string(length) + " bytes: is not a safetensors file");
  const std::span<const std::byte> text = in.take(length);
  if (text.empty() || text.front() != std::byte{'{'})
    in.fail("is not a safetensors file: its directory is no JSON object");
  const Json directory = parse_json(text, path);
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, json] : directory.items()) {
    if (name != "__metadata__") entries.push_back(parse_entry(name, json, path, in.position(), in.remaining()));
  }
  std::ranges::sort(entries, {}, &SafetensorsEntry::offset);
  std::uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offset < end) throw BadFile(path + ": tensor " + quote(entry.name) + ": overlaps another");
    end = std::max(end, entry.offset + entry.bytes);
  }
  return entries;
}

std::vector<std::filesystem::path> safetensors_files(const std::filesystem::path& path) {
  if (path.extension() != ".json") return {path};
  const Json index = read_json(path);
  const std::string name = path.string();
  const Json& map = JsonKeys(index, name).at("weight_map");
  const JsonKeys weights(map, name);
  std::set<std::string> files;
  for (const auto& [tensor, file] : map.items()) {
    if (!file.is_string()) weights.refuse(tensor.c_str(), "is not the name of a file");
    const std::filesystem::path shard = file.get<std::string>();
    if (shard != shard.filename())
      weights.refuse(tensor.c_str(), quote(shard.string()) + " is not a file of this folder");
    files.insert(shard.string());
  }
  if (files.empty()) throw BadFile(name + ": weight_map: lists no file");
  std::vector<std::filesystem::path> paths;
  for (const std::string& file : files) paths.push_back(path.parent_path() / file);
  return paths;
}

}  // namespace carat
