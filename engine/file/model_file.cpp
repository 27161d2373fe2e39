#include "engine/file/model_file.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>

#include "engine/error.h"
#include "engine/file/gguf.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"

namespace carat {

namespace {

// The one place that knows which formats there are.
struct Format {
  bool (*recognises)(std::span<const std::byte> bytes);
  ModelFile (*read)(MappedFile file, const std::filesystem::path& path);
};
constexpr Format kFormats[] = {
    {is_gguf, read_gguf},
    {is_sbs, read_sbs},
};

// What else people hand over, by its first bytes.
struct Foreign {
  std::string_view start;
  std::string_view what;
};
constexpr Foreign kForeign[] = {
    {"version https://git-lfs", "a Git LFS pointer: the model itself was not downloaded"},
    {"<", "a web page: the download went wrong"},
    {"FUGG", "a draft of GGUF from July 2023"},
    {"lmgg", "a GGML file from before GGUF"},
    {"fmgg", "a GGML file from before GGUF"},
    {"tjgg", "a GGML file from before GGUF"},
    {"PK\3\4", "a PyTorch checkpoint or another ZIP archive"},
};

[[noreturn]] void refuse_format(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(bytes.size(), 64));
  std::string why = "is not a GGUF file: it starts with " + quote(start.substr(0, 4));
  const auto known = std::ranges::find_if(kForeign, [&](const Foreign& row) { return start.starts_with(row.start); });
  if (known != std::end(kForeign)) why += ", like " + std::string(known->what);
  if (start.size() > 8 && start[8] == '{') why += ", like a safetensors file";
  throw BadFile(path.string() + ": " + why);
}

[[noreturn]] void refuse(const FilePart& part, const FileTensor& tensor, const std::string& why) {
  throw BadFile(part.path + ": tensor " + quote(tensor.name) + ": " + why);
}

// The bytes of a tensor, which are at most `available`. Comparing with what is there, factor by factor, is what keeps
// the product from overflowing.
std::uint64_t checked_size(const FilePart& part, const FileTensor& tensor, std::uint64_t available) {
  const DTypeInfo& type = info(tensor.dtype);
  if (std::ranges::count(tensor.dims, 0u) != 0) refuse(part, tensor, "has a dimension of 0");
  if (tensor.dims[0] % type.block != 0)
    refuse(part, tensor,
           "has rows of " + std::to_string(tensor.dims[0]) + " elements, but " + std::string(type.name) +
               " comes in blocks of " + std::to_string(type.block));
  std::uint64_t size = type.bytes;
  for (const std::uint64_t factor : {tensor.dims[0] / type.block, tensor.dims[1], tensor.dims[2], tensor.dims[3]}) {
    if (factor > available / size)
      refuse(
          part, tensor,
          "is larger than the " + std::to_string(available) + " bytes of tensor data in the file: was it cut short?");
    size *= factor;
  }
  return size;
}

void place_tensor(const FilePart& part, FileTensor& tensor) {
  const std::span<const std::byte> data = part.bytes.subspan(std::min(part.data_start, part.bytes.size()));
  const std::uint64_t size = checked_size(part, tensor, data.size());
  if (tensor.offset % part.alignment != 0)
    refuse(part, tensor,
           "offset " + std::to_string(tensor.offset) + " is not a multiple of " + std::to_string(part.alignment));
  if (tensor.offset > data.size() - size)
    refuse(part, tensor,
           "ends outside the file: offset " + std::to_string(tensor.offset) + ", " + std::to_string(size) +
               " bytes, but there are " + std::to_string(data.size()) + " of tensor data: was it cut short?");
  tensor.bytes = data.subspan(tensor.offset, size);
}

void check_overlap(const FilePart& part) {
  std::vector<const FileTensor*> sorted(part.tensors.size());
  std::ranges::transform(part.tensors, sorted.begin(), [](const FileTensor& tensor) { return &tensor; });
  std::ranges::sort(sorted, {}, &FileTensor::offset);
  const auto overlap = std::ranges::adjacent_find(sorted, [](const FileTensor* before, const FileTensor* after) {
    return after->offset - before->offset < before->bytes.size();
  });
  if (overlap != sorted.end()) refuse(part, **overlap, "overlaps tensor " + quote((*(overlap + 1))->name));
}

}  // namespace

Tensor as_matrix(const FileTensor& tensor) {
  // Tensor serves results too and is therefore not const; weights are never written, and the mapping would not let us.
  auto* where = const_cast<std::byte*>(tensor.bytes.data());
  return {tensor.dtype, tensor.dims[1] * tensor.dims[2] * tensor.dims[3], tensor.dims[0], where, tensor.scale};
}

ModelFile::ModelFile(std::string_view format, std::vector<FilePart> parts) : format_(format), parts_(std::move(parts)) {
  const std::string_view kind = metadata().text_or("general.type", "model");
  if (kind != "model") throw Unsupported(path() + ": is of type " + quote(kind) + ", expected a language model");
  for (FilePart& part : parts_) {
    if (std::ranges::any_of(part.tensors, [](const FileTensor& tensor) { return tensor.bytes.empty(); })) {
      for (FileTensor& tensor : part.tensors) place_tensor(part, tensor);
      check_overlap(part);
    }
    std::ranges::move(std::exchange(part.tensors, {}), std::back_inserter(tensors_));
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (!index_.emplace(tensors_[i].name, i).second)
      throw BadFile(path() + ": tensor " + quote(tensors_[i].name) + ": appears twice");
}

std::uint64_t ModelFile::byte_count() const {
  return std::accumulate(parts_.begin(), parts_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const FilePart& part) { return sum + part.bytes.size(); });
}

const FileTensor* ModelFile::find(std::string_view name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

const FileTensor& ModelFile::need(std::string_view name) const {
  const FileTensor* tensor = find(name);
  if (tensor == nullptr) throw BadFile(path() + ": tensor " + quote(name) + ": is missing");
  return *tensor;
}

void ModelFile::copy(std::span<const std::byte> bytes, std::byte* to) const {
  for (const FilePart& part : parts_) {
    const std::span<const std::byte> mapped = part.mapping.bytes();
    if (mapped.empty() || std::less<>()(bytes.data(), mapped.data())) continue;
    if (!std::less<>()(bytes.data(), mapped.data() + mapped.size())) continue;
    try {
      return part.mapping.read(static_cast<std::uint64_t>(bytes.data() - mapped.data()), {to, bytes.size()});
    } catch (const BadFile& e) {
      throw BadFile(part.path + ": " + e.what());
    }
  }
  std::ranges::copy(bytes, to);
}

ModelFile open_model_file(const std::filesystem::path& path, const Loading& loading) {
  MappedFile file = MappedFile::open(path, loading);
  for (const Format& format : kFormats)
    if (format.recognises(file.bytes())) return format.read(std::move(file), path);
  refuse_format(file.bytes(), path);
}

}  // namespace carat
