// The GGUF side of compress.h: the tensors as they are, and the metadata.
#include "convert/compress.h"
#include "convert/conversion.h"
#include "convert/sentencepiece.h"
#include "engine/file/gguf.h"

namespace carat {

namespace {

constexpr std::uint32_t kQuantizationVersion = 2;  // of ggml's block formats, since May 2023

// What the source's metadata say, but for what describes the file that it came in.
void copy_metadata(const ModelSource& source, const FileType& type, GgufWriter& writer) {
  const bool is_of_pieces = !source.sentencepiece.empty() && !source.metadata().has("tokenizer.ggml.tokens");
  if (is_of_pieces) {
    const SourceTensor* embedding = source.find("token_embd.weight");
    PieceVocabulary vocabulary = parse_sentencepiece(source.sentencepiece, source.path);
    vocabulary.add_space_prefix = false;  // of all Gemmas
    set_vocabulary(writer, std::move(vocabulary), embedding == nullptr ? 0 : embedding->rows());
  }
  for (const Metadata::Entry& entry : source.metadata().entries()) {
    const bool of_file = entry.key.starts_with("split.") || entry.key == "general.alignment" ||
                         entry.key == "general.quantization_version" || entry.key == "general.file_type" ||
                         entry.key == kSentencePieceKey;
    if (!of_file) writer.set(entry.key, entry.value);
  }
  if (source.wrapping)
    writer.set("general.finetune", std::string_view(*source.wrapping == SbsWrapping::gemma_pt ? "pt" : "it"));
  writer.set("general.quantization_version", kQuantizationVersion);
  writer.set("general.file_type", type.gguf);
}

Conversion::Find open_written(const std::filesystem::path& path, const std::string& name) {
  auto mapping = std::make_shared<const MappedFile>(MappedFile::open(path));
  auto file = std::make_shared<const ModelFile>(parse_gguf(mapping->bytes(), name));
  return [mapping, file](const PlannedTensor& planned) {
    const FileTensor& tensor = file->need(planned.tensor.name);
    return planned.type == tensor.dtype ? tensor.bytes : std::span<const std::byte>();
  };
}

}  // namespace

std::vector<PlannedTensor> plan_gguf(ModelSource& source, const FileType& type) {
  sort_like_reference(source.tensors);
  const std::vector<DType> types = choose_types(type, source.metadata(), source.tensors);
  std::vector<PlannedTensor> plan;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const SourceTensor& tensor = source.tensors[i];
    plan.push_back({tensor, types[i], tensor.rows() * row_bytes(types[i], tensor.cols())});
  }
  return plan;
}

CompressReport compress_to_gguf(ModelSource& source, const FileType& type, const std::filesystem::path& target,
                                const CompressOptions& options) {
  const std::vector<PlannedTensor> plan = plan_gguf(source, type);
  Conversion conversion(plan, options);
  GgufWriter writer;
  copy_metadata(source, type, writer);
  for (std::size_t i = 0; i < plan.size(); ++i)
    writer.add_tensor(plan[i].tensor.name, *plan[i].type.dtype(), plan[i].tensor.dims,
                      [&conversion, i](const GgufWriter::Sink& sink) { conversion.encode(i, sink); });
  return std::move(conversion)
      .finish(
          target, [&](const ByteSink& sink) { writer.write(sink); }, open_written);
}

}  // namespace carat
