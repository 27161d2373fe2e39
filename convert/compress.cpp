#include "convert/compress.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "engine/error.h"
#include "engine/file/gguf.h"
#include "engine/file/output_file.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::uint32_t kQuantizationVersion = 2;  // of ggml's block formats, since May 2023

// "blk.7.ffn_down.weight" -> "blk.*.ffn_down.weight"
std::string kind_of(const std::string& name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return name;
  const std::size_t end = name.find('.', kPrefix.size());
  return end == std::string::npos ? name : "blk.*" + name.substr(end);
}

void add_to(std::vector<TensorGroup>& groups, const PlannedTensor& planned, const Distortion& distortion) {
  const std::string kind = kind_of(planned.tensor->name);
  auto group =
      std::ranges::find_if(groups, [&](const TensorGroup& g) { return g.name == kind && g.type == planned.type; });
  if (group == groups.end()) group = groups.insert(groups.end(), {kind, planned.type, 0, 0, 0, {}});
  ++group->tensors;
  group->bytes_before += planned.tensor->bytes();
  group->bytes_after += planned.bytes;
  group->distortion.add(distortion);
}

// What the source's metadata say, but for what describes the file that it came in.
void copy_metadata(const Metadata& metadata, const FileType& type, GgufWriter& writer) {
  for (const Metadata::Entry& entry : metadata.entries()) {
    const bool of_file = entry.key.starts_with("split.") || entry.key == "general.alignment" ||
                         entry.key == "general.quantization_version" || entry.key == "general.file_type";
    if (!of_file) writer.set(entry.key, entry.value);
  }
  writer.set("general.quantization_version", kQuantizationVersion);
  writer.set("general.file_type", type.gguf);
}

// Bytes as one number, to know them again.
class Digest {
 public:
  void add(std::span<const std::byte> bytes) {
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + i, sizeof word);
      mix(word);
    }
    for (; i < bytes.size(); ++i) mix(static_cast<std::uint64_t>(bytes[i]));
  }
  bool operator==(const Digest&) const = default;

 private:
  // FNV-1a on words, with a rotation so that high bits reach low ones.
  void mix(std::uint64_t word) { state_ = std::rotl((state_ ^ word) * 0x100000001B3u, 29); }

  std::uint64_t state_ = 0xCBF29CE484222325u;
};

// Opens what was written and compares each tensor with what was encoded.
void verify_output(const OutputFile& out, const std::vector<PlannedTensor>& plan, const std::vector<Digest>& digests,
                   const std::filesystem::path& target, const std::stop_token& stop) {
  const ModelFile written = open_model_file(out.unfinished());
  const auto refuse = [&](const std::string& name, const char* why) {
    throw BadFile(target.string() + ": tensor " + quote(name) + ": " + why);
  };
  std::vector<std::byte> slab;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const FileTensor* tensor = written.find(plan[i].tensor->name);
    if (tensor == nullptr || tensor->dtype != plan[i].type || tensor->bytes.size() != plan[i].bytes)
      refuse(plan[i].tensor->name, "is not there as it was written");
    Digest found;
    constexpr std::size_t kSlab = std::size_t{1} << 22;  // a multiple of 8, so that the digest sees the same words
    for (std::size_t at = 0; at < plan[i].bytes; at += slab.size()) {
      if (stop.stop_requested()) throw Cancelled();
      slab.resize(std::min<std::size_t>(kSlab, plan[i].bytes - at));
      written.copy(tensor->bytes.subspan(at, slab.size()), slab.data());
      found.add(slab);
    }
    if (found != digests[i]) refuse(plan[i].tensor->name, "reads back other than it was written");
  }
}

}  // namespace

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
    plan.push_back({&tensor, types[i], tensor.rows() * row_bytes(types[i], tensor.cols())});
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
  copy_metadata(source.metadata(), type, writer);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const SourceTensor& tensor = *plan[i].tensor;
    writer.add_tensor(tensor.name, plan[i].type, tensor.dims, [&, i](const GgufWriter::Sink& sink) {
      const auto keep_digest = [&](std::span<const std::byte> bytes) {
        if (options.verify) digests[i].add(bytes);
        sink(bytes);
      };
      add_to(report.groups, plan[i], encoder.encode(*plan[i].tensor, plan[i].type, keep_digest));
    });
  }

  OutputFile out(target, options.existing);
  writer.write([&](std::span<const std::byte> bytes) { out.write(bytes); });
  if (options.verify) verify_output(out, plan, digests, target, options.stop);
  out.commit();
  report.file_bytes = out.position();
  return report;
}

}  // namespace carat
