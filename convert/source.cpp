#include "convert/source.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/error.h"
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

ModelSource from_model_file(ModelFile opened, const std::filesystem::path& path, const SourceOptions& options) {
  ModelSource source;
  source.path = path.string();
  source.format = opened.format();
  adopt_file(source, std::move(opened));
  if (!options.tokenizer.empty()) adopt_tokenizer(source, options.tokenizer);
  for (const FileTensor& from : source.file->tensors()) {
    const auto dims = std::span(from.dims).first(from.n_dims);
    SourceTensor tensor{from.name, from.dtype, {dims.begin(), dims.end()}, {}, {}, {}};
    set_readers(tensor, [file = source.file.get(), bytes = from.bytes](std::uint64_t offset, std::span<std::byte> out) {
      file->copy(bytes.subspan(offset, out.size()), out.data());
    });
    apply_scale(tensor, from.scale);
    source.tensors.push_back(std::move(tensor));
  }
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
  if (std::filesystem::is_directory(path) || path.extension() == ".safetensors" || path.extension() == ".json")
    return open_model_folder(path, options);
  const MappedFile file = MappedFile::open(path);
  if (is_llama2c(file.bytes())) return open_llama2c(path, options);
  if (is_raw_dump(file.bytes())) return open_raw_dump(path, options);
  return from_model_file(open_model_file(path), path, options);
}

void adopt_file(ModelSource& source, ModelFile file) {
  source.file = std::make_unique<const ModelFile>(std::move(file));
  const std::string_view model = source.metadata().text_or(kSentencePieceKey, "");
  source.sentencepiece = std::as_bytes(std::span(model));
}

void adopt_tokenizer(ModelSource& source, const std::filesystem::path& path) {
  source.mappings.push_back(std::make_unique<const MappedFile>(MappedFile::open(path)));
  source.sentencepiece = source.mappings.back()->bytes();
}

void set_metadata(ModelSource& source, const GgufWriter& metadata) {
  std::vector<std::byte> bytes;
  metadata.write([&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); });
  source.header = std::make_unique<const std::vector<std::byte>>(std::move(bytes));
  source.file = std::make_unique<const ModelFile>(parse_gguf(*source.header, source.path));
}

SourceTensor stored_tensor(std::string name, DType dtype, std::vector<std::uint64_t> dims, const MappedFile& file,
                           std::uint64_t offset, const std::string& path) {
  SourceTensor tensor{std::move(name), dtype, std::move(dims), {}, {}, {}};
  set_readers(tensor,
              [&file, offset, path](std::uint64_t from, std::span<std::byte> out) { file.read(offset + from, out); });
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
