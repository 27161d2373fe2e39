// The .sbs side of compress.h: canonical tensors put together as gemma.cpp stacks them.
#include <algorithm>
#include <cmath>

#include "convert/compress.h"
#include "convert/sentencepiece.h"
#include "convert/verify.h"
#include "engine/error.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"
#include "engine/file/sbs_contents.h"

namespace carat {

namespace {

constexpr float kSfpLargest = 1.875f;  // beyond it a tensor is scaled down (gemma.cpp, compress-inl.h)

struct SbsKind {
  std::string_view name;
  DType dtype;
  SbsType type;
};
constexpr SbsKind kKinds[] = {
    {"sfp", DType::sfp, SbsType::sfp}, {"bf16", DType::bf16, SbsType::bf16}, {"f32", DType::f32, SbsType::f32}};

const SourceTensor& need(const ModelSource& source, const std::string& name, std::size_t rows, std::size_t cols) {
  const SourceTensor* const tensor = source.find(name);
  const std::string where = source.path + ": tensor " + quote(name) + ": ";
  if (tensor == nullptr) throw BadFile(where + "is missing");
  if (tensor->rows() < rows || tensor->cols() < cols)
    throw BadFile(where + "is [" + std::to_string(tensor->rows()) + ", " + std::to_string(tensor->cols()) +
                  "], expected at least [" + std::to_string(rows) + ", " + std::to_string(cols) + "]");
  return *tensor;
}

// Reads `count` rows of a piece, from its row `first` on: [count, cols].
void read_piece(const SourceTensor& tensor, const SbsPiece& piece, std::size_t cols, std::size_t first,
                std::size_t count, bool subtract_one, float* out) {
  const bool gain = subtract_one && tensor.read_gain;
  const ReadRows& read = gain ? tensor.read_gain : tensor.read;
  if (tensor.cols() == cols) {
    read(piece.first_row + first, count, out);
  } else {
    std::vector<float> whole(count * tensor.cols());
    read(piece.first_row + first, count, whole.data());
    for (std::size_t i = 0; i < count; ++i)
      std::copy_n(whole.data() + i * tensor.cols() + piece.first_col, cols, out + i * cols);
  }
  if (subtract_one && !gain)
    for (std::size_t i = 0; i < count * cols; ++i) out[i] -= 1;
}

// One tensor of the file, read from those it is made of.
SourceTensor assemble(const ModelSource& source, const SbsTensorPlan& plan) {
  std::vector<const SourceTensor*> parts;
  for (const SbsPiece& piece : plan.pieces)
    parts.push_back(&need(source, piece.tensor, piece.first_row + piece.rows, piece.first_col + plan.cols));
  SourceTensor tensor{plan.name, DType::f32, {plan.cols, plan.rows}, {}, {}, {}};
  tensor.read = [plan, parts](std::size_t first, std::size_t count, float* out) {
    for (std::size_t i = 0; i < plan.pieces.size() && count > 0; ++i) {
      const SbsPiece& piece = plan.pieces[i];
      if (first >= piece.rows) {
        first -= piece.rows;
        continue;
      }
      const std::size_t now = std::min(count, piece.rows - first);
      read_piece(*parts[i], piece, plan.cols, first, now, plan.subtract_one, out);
      out += now * plan.cols;
      count -= now;
      first = 0;
    }
  };
  return tensor;
}

// Values brought into the range of sfp; the file has the factor that brings them back.
void scale_down(SourceTensor& tensor, float scale) {
  const auto factor = static_cast<float>(1 / static_cast<double>(scale));
  tensor.copy = {};
  tensor.read = [read = tensor.read, factor, cols = tensor.cols()](std::size_t first, std::size_t count, float* out) {
    read(first, count, out);
    for (std::size_t i = 0; i < count * cols; ++i) out[i] = std::clamp(out[i] * factor, -kSfpLargest, kSfpLargest);
  };
}

// Vectors are small, and stay exact.
PlannedTensor planned(SourceTensor tensor, const SbsKind& wanted) {
  const SbsKind& kind = tensor.rows() == 1 ? kKinds[2] : wanted;
  const std::uint64_t bytes = sbs_bytes(kind.type, tensor.rows() * tensor.cols());
  return {std::move(tensor), kind.dtype, bytes};
}

void unscale(Distortion& distortion, float scale) {
  const double square = static_cast<double>(scale) * static_cast<double>(scale);
  distortion.squares *= square;
  distortion.misses *= square;
  distortion.worst *= static_cast<double>(scale);
}

ModelConfig config_of(const ModelSource& source) {
  ModelConfig config = read_config(*source.file);
  const SourceTensor* embedding = source.find(source.format == "raw" ? "c_embedding" : "token_embd.weight");
  if (embedding == nullptr) throw BadFile(source.path + ": has no embedding");
  config.vocabulary = embedding->rows();
  return config;
}

void verify_sbs(const OutputFile& out, const std::vector<PlannedTensor>& plan, const std::vector<Digest>& digests,
                const std::filesystem::path& target, const std::stop_token& stop) {
  const MappedFile written = MappedFile::open(out.unfinished());
  const SbsContents contents = read_sbs_contents(written.bytes(), target.string());
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto found =
        std::ranges::find(contents.tensors, plan[i].tensor.name,
                          [](const SbsContents::Item& item) -> const std::string& { return item.tensor.name; });
    verify_tensor(plan[i].tensor.name, found == contents.tensors.end() ? std::span<const std::byte>() : found->bytes,
                  digests[i], target, stop);
  }
}

}  // namespace

std::vector<PlannedTensor> plan_sbs(const ModelSource& source, std::string_view type) {
  const SbsKind& wanted = *std::ranges::find(kKinds, type, &SbsKind::name);
  std::vector<PlannedTensor> plan;
  for (const SbsTensorPlan& tensor : sbs_plan(config_of(source))) {
    if (source.format == "raw")
      need(source, tensor.name, tensor.rows, tensor.cols);
    else
      plan.push_back(planned(assemble(source, tensor), wanted));
  }
  // A dump has gemma.cpp's names already, and may have more than the network needs.
  if (source.format == "raw")
    for (const SourceTensor& tensor : source.tensors) plan.push_back(planned(tensor, wanted));
  return plan;
}

CompressReport compress_to_sbs(const ModelSource& source, std::string_view type, const std::filesystem::path& target,
                               const CompressOptions& options) {
  std::vector<PlannedTensor> plan = plan_sbs(source, type);
  std::uint64_t done = 0;
  const auto passed = [&](std::uint64_t bytes) {
    done += bytes;
    if (options.progress) options.progress(done);
  };
  Encoder encoder(options.threads, options.isa, options.stop, passed);
  CompressReport report;
  std::vector<Digest> digests(plan.size());
  const ModelConfig config = config_of(source);
  SbsWriter writer(sbs_config_from(config, source.metadata(), source.path));
  for (std::size_t i = 0; i < plan.size(); ++i) {
    SourceTensor& tensor = plan[i].tensor;
    const SbsKind& kind = *std::ranges::find(kKinds, plan[i].type, &SbsKind::dtype);
    const float largest = kind.type == SbsType::sfp ? encoder.largest(tensor) : 0;
    const float scale = largest > kSfpLargest ? largest / kSfpLargest : 1;
    if (scale != 1) scale_down(tensor, scale);
    writer.add_tensor({tensor.name, kind.type, tensor.rows(), tensor.cols(), scale},
                      [&, i, scale](const SbsWriter::Sink& sink) {
                        Distortion distortion = encoder.encode(plan[i].tensor, plan[i].type, digests[i].passing(sink));
                        unscale(distortion, scale);
                        report.add(plan[i], distortion);
                      });
  }
  std::vector<std::byte> made;
  if (source.sentencepiece.empty() && source.metadata().has("tokenizer.ggml.tokens"))
    made = make_sentencepiece(source.metadata());
  const std::span<const std::byte> model = made.empty() ? source.sentencepiece : std::span<const std::byte>(made);
  if (!model.empty()) writer.set_tokenizer({reinterpret_cast<const char*>(model.data()), model.size()});

  OutputFile out(target, options.existing);
  writer.write([&](std::span<const std::byte> bytes) { out.write(bytes); });
  if (options.verify) verify_sbs(out, plan, digests, target, options.stop);
  out.commit();
  report.file_bytes = out.position();
  return report;
}

}  // namespace carat
