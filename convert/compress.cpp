#include "convert/compress.h"

#include <algorithm>
#include <numeric>

#include "convert/sentencepiece.h"
#include "convert/verify.h"
#include "engine/error.h"
#include "engine/file/gguf.h"
#include "engine/file/output_file.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::uint32_t kQuantizationVersion = 2;  // of ggml's block formats, since May 2023

// "blk.7.ffn_down.weight" -> "blk.*.ffn_down.weight", "qkv_ein_7" -> "qkv_ein_*"
std::string kind_of(const std::string& name) {
  constexpr std::string_view kPrefix = "blk.";
  const std::size_t number = name.find_last_not_of("0123456789");
  if (number + 1 < name.size() && name[number] == '_') return name.substr(0, number + 1) + "*";  // of an .sbs file
  if (!name.starts_with(kPrefix)) return name;
  const std::size_t end = name.find('.', kPrefix.size());
  return end == std::string::npos ? name : "blk.*" + name.substr(end);
}

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
  writer.set("general.quantization_version", kQuantizationVersion);
  writer.set("general.file_type", type.gguf);
}

void verify_gguf(const OutputFile& out, const std::vector<PlannedTensor>& plan, const std::vector<Digest>& digests,
                 const std::filesystem::path& target, const std::stop_token& stop) {
  const ModelFile written = open_model_file(out.unfinished());
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const FileTensor& tensor = written.need(plan[i].tensor.name);
    verify_tensor(tensor.name, tensor.dtype == plan[i].type ? tensor.bytes : std::span<const std::byte>(), digests[i],
                  target, stop);
  }
}

}  // namespace

void CompressReport::add(const PlannedTensor& planned, const Distortion& distortion) {
  const std::string kind = kind_of(planned.tensor.name);
  auto group =
      std::ranges::find_if(groups, [&](const TensorGroup& g) { return g.name == kind && g.type == planned.type; });
  if (group == groups.end()) group = groups.insert(groups.end(), {kind, planned.type, 0, 0, 0, {}});
  ++group->tensors;
  group->bytes_before += planned.tensor.bytes();
  group->bytes_after += planned.bytes;
  group->distortion.add(distortion);
}

TensorGroup CompressReport::total() const {
  TensorGroup sum{"", DType::f32, 0, 0, 0, {}};
  for (const TensorGroup& group : groups) {
    sum.tensors += group.tensors;
    sum.bytes_before += group.bytes_before;
    sum.bytes_after += group.bytes_after;
    sum.distortion.add(group.distortion);
  }
  return sum;
}

std::uint64_t source_bytes(const ModelSource& source) {
  return std::accumulate(source.tensors.begin(), source.tensors.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const SourceTensor& tensor) { return sum + tensor.bytes(); });
}

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
  std::uint64_t done = 0;
  const auto passed = [&](std::uint64_t bytes) {
    done += bytes;
    if (options.progress) options.progress(done);
  };
  Encoder encoder(options.threads, options.isa, options.stop, passed);

  CompressReport report;
  std::vector<Digest> digests(plan.size());
  GgufWriter writer;
  copy_metadata(source, type, writer);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const SourceTensor& tensor = plan[i].tensor;
    writer.add_tensor(tensor.name, plan[i].type, tensor.dims, [&, i](const GgufWriter::Sink& sink) {
      report.add(plan[i], encoder.encode(plan[i].tensor, plan[i].type, digests[i].passing(sink)));
    });
  }

  OutputFile out(target, options.existing);
  writer.write([&](std::span<const std::byte> bytes) { out.write(bytes); });
  if (options.verify) verify_gguf(out, plan, digests, target, options.stop);
  out.commit();
  report.file_bytes = out.position();
  return report;
}

}  // namespace carat
