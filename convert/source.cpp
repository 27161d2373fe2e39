#include "convert/source.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "convert/sentencepiece.h"
#include "engine/error.h"
#include "engine/file/sbs_metadata.h"
#include "engine/model_config.h"
#include "kernels/cpu/dispatch.h"

namespace carat {

namespace {

// Bytes of stored rows: `copy(offset, out)` for any stretch of them.
template <class Copy>
void set_readers(SourceTensor& tensor, Copy copy) {
  const DType dtype = tensor.dtype;
  const std::size_t cols = tensor.cols(), row = row_bytes(dtype, cols);
  tensor.copy = [copy, row](std::size_t first, std::span<std::byte> out) { copy(first * row, out); };
  tensor.read = [copy, row, cols, dtype](std::size_t first, std::size_t count, float* out) {
    std::vector<std::byte> stored(count * row);
    copy(first * row, std::span(stored));
    const cpu::Table& isa = *cpu::usable().front();
    isa.dequantize[static_cast<std::size_t>(dtype)](stored.data(), out, count * cols);
  };
}

// What the stored rows need to become what they stand for.
void apply_scale(SourceTensor& tensor, float scale) {
  if (scale == 1) return;
  tensor.copy = {};
  tensor.read = [read = tensor.read, scale, cols = tensor.cols()](std::size_t first, std::size_t count, float* out) {
    read(first, count, out);
    for (std::size_t i = 0; i < count * cols; ++i) out[i] *= scale;
  };
}

// A model of the name that was given has these numbers.
void check_model(const ModelSource& source, const NamedGemma& named) {
  const ModelConfig found = read_config(*source.file);
  const ModelConfig expected = sbs_shape(canonical_config(*named.known), source.path);
  const auto refuse = [&](const std::string& what) {
    throw BadFile(source.path + ": is not " + std::string(named.known->specifier) + ": " + what);
  };
  if (found.architecture != expected.architecture)
    refuse("it is of the family " + found.architecture + ", expected " + expected.architecture);
  const SourceTensor* embedding = source.find("token_embd.weight");
  const auto same = [&](const char* what, std::size_t is, std::size_t should) {
    if (is != should) refuse(std::string(what) + " is " + std::to_string(is) + ", expected " + std::to_string(should));
  };
  same("the number of layers", found.layers.size(), expected.layers.size());
  same("the width", found.width, expected.width);
  same("the width of the feed-forward network", found.hidden, expected.hidden);
  same("the number of heads", found.heads, expected.heads);
  same("the number of heads of keys", found.kv_heads, expected.kv_heads);
  same("the size of a head", found.head_dim, expected.head_dim);
  same("the number of tokens", embedding == nullptr ? 0 : embedding->rows(), expected.vocabulary);
}

ModelSource open_model(ModelFile file, const SourceOptions& options) {
  ModelSource source;
  source.path = file.path();
  adopt_file(source, std::move(file));
  source.format = source.file->format();
  if (!options.tokenizer.empty()) adopt_tokenizer(source, options.tokenizer);
  add_file_tensors(source);
  return source;
}

ModelSource open_any(const std::filesystem::path& path, const SourceOptions& options) {
  if (std::filesystem::is_directory(path) || path.extension() == ".safetensors" || path.extension() == ".json")
    return open_model_folder(path, options);
  const MappedFile file = MappedFile::open(path);
  if (is_gguf(file.bytes())) return open_model(open_model_file(path), options);
  if (is_sbs(file.bytes())) return open_sbs(path, options);
  if (is_llama2c(file.bytes())) return open_llama2c(path, options);
  const bool described = options.model || !options.config.empty();
  if (is_raw_dump(file.bytes()) || described) return open_raw_dump(path, options);
  return open_model(open_model_file(path), options);  // which says what it may be instead
}

// A model that was named is that one, and framed as its name says.
ModelSource checked(ModelSource source, const SourceOptions& options) {
  if (!options.model) return source;
  check_model(source, *options.model);
  source.wrapping = options.model->wrapping;
  return source;
}

}  // namespace

std::size_t SourceTensor::rows() const {
  if (dims.size() < 2) return 1;
  return std::accumulate(dims.begin() + 1, dims.end(), std::size_t{1}, std::multiplies<>());
}

const SourceTensor* ModelSource::find(std::string_view name) const {
  const auto at = std::ranges::find(tensors, name, &SourceTensor::name);
  return at == tensors.end() ? nullptr : &*at;
}

ModelSource open_source(const std::filesystem::path& path, const SourceOptions& options) {
  return checked(open_any(path, options), options);
}

ModelSource open_source(ModelFile file, const SourceOptions& options) {
  return checked(open_model(std::move(file), options), options);
}

void add_file_tensors(ModelSource& source) {
  for (const FileTensor& from : source.file->tensors()) {
    const auto dims = std::span(from.dims).first(from.n_dims);
    SourceTensor tensor{from.name, from.dtype, {dims.begin(), dims.end()}, {}, {}, {}};
    set_readers(tensor, [file = source.file.get(), bytes = from.bytes](std::uint64_t offset, std::span<std::byte> out) {
      file->copy(bytes.subspan(offset, out.size()), out.data());
    });
    apply_scale(tensor, from.scale);
    source.tensors.push_back(std::move(tensor));
  }
}

void adopt_file(ModelSource& source, ModelFile file) {
  source.file = std::make_unique<const ModelFile>(std::move(file));
  const std::string_view model = source.metadata().text_or(kSentencePieceKey, "");
  source.sentencepiece = std::as_bytes(std::span(model));
}

void adopt_tokenizer(ModelSource& source, const std::filesystem::path& path) {
  source.mappings.push_back(std::make_unique<const MappedFile>(MappedFile::open(path)));
  source.sentencepiece = source.mappings.back()->bytes();
  parse_sentencepiece(source.sentencepiece, path.string());  // refuses what is none
}

void set_metadata(ModelSource& source, const GgufWriter& metadata) {
  std::vector<std::byte> bytes;
  metadata.write([&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); });
  source.header = std::make_unique<const std::vector<std::byte>>(std::move(bytes));
  source.file = std::make_unique<const ModelFile>(parse_gguf(*source.header, source.path));
}

void read_named(const MappedFile& file, const std::string& path, std::uint64_t offset, std::span<std::byte> out) {
  try {
    file.read(offset, out);
  } catch (const BadFile& e) {
    throw BadFile(path + ": " + e.what());
  }
}

SourceTensor stored_tensor(std::string name, DType dtype, std::vector<std::uint64_t> dims, const MappedFile& file,
                           std::uint64_t offset, const std::string& path) {
  SourceTensor tensor{std::move(name), dtype, std::move(dims), {}, {}, {}};
  set_readers(tensor, [&file, offset, path](std::uint64_t from, std::span<std::byte> out) {
    read_named(file, path, offset + from, out);
  });
  return tensor;
}

SourceTensor made_tensor(ModelSource& source, std::string name, std::vector<std::uint64_t> dims,
                         std::vector<float> values) {
  SourceTensor tensor{std::move(name), DType::f32, std::move(dims), {}, {}, {}};
  const std::vector<float>& kept = source.made.emplace_back(std::move(values));
  set_readers(tensor, [bytes = std::as_bytes(std::span(kept))](std::uint64_t from, std::span<std::byte> out) {
    std::ranges::copy(bytes.subspan(from, out.size()), out.begin());
  });
  return tensor;
}

}  // namespace carat
