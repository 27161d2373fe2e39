// The .sbs side of compress.h: canonical tensors put together as gemma.cpp stacks them.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "convert/compress.h"
#include "convert/conversion.h"
#include "engine/error.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"
#include "engine/file/sbs_contents.h"
#include "engine/file/sbs_metadata.h"

namespace carat {

namespace {

constexpr float kSfpLargest = 1.875f;  // beyond it a tensor is scaled down (gemma.cpp, compress-inl.h)

struct SbsKind {
  Packing packing;
  SbsType type;
};
const SbsKind& kind_of(std::string_view name) {
  static const std::array<SbsKind, 5> kKinds = {{{DType::sfp, SbsType::sfp},
                                                 {DType::bf16, SbsType::bf16},
                                                 {DType::f32, SbsType::f32},
                                                 {Packing::i8(), SbsType::i8},
                                                 {Packing::nuq(), SbsType::nuq}}};
  return *std::ranges::find(kKinds, name, [](const SbsKind& kind) { return kind.packing.name(); });
}

// What the plan takes of each canonical tensor is all that the source has, and the source has nothing besides that the
// model would be another without.
void check_tensors(const ModelSource& source, const std::vector<SbsTensorPlan>& plans) {
  struct Size {
    std::size_t rows = 0, cols = 0;
  };
  std::map<std::string_view, Size> taken;
  for (const SbsTensorPlan& plan : plans) {
    for (const SbsPiece& piece : plan.pieces) {
      Size& size = taken[piece.tensor];
      size.rows = std::max(size.rows, piece.first_row + piece.rows);
      size.cols = std::max(size.cols, piece.first_col + plan.cols);
    }
  }
  for (const auto& [name, size] : taken)
    if (source.find(name) == nullptr) throw BadFile(source.path + ": tensor " + quote(name) + ": is missing");
  for (const SourceTensor& tensor : source.tensors) {
    const std::string where = source.path + ": tensor " + quote(tensor.name) + ": ";
    const auto found = taken.find(tensor.name);
    if (found == taken.end()) {
      if (!tensor.name.starts_with("blk.") && tensor.name != "output.weight") continue;
      throw Unsupported(where + "an .sbs file has no place for it");
    }
    const Size& size = found->second;
    if (tensor.rows() != size.rows || tensor.cols() != size.cols)
      throw BadFile(where + "is [" + std::to_string(tensor.rows()) + ", " + std::to_string(tensor.cols()) +
                    "], expected [" + std::to_string(size.rows) + ", " + std::to_string(size.cols) + "]");
  }
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

// One tensor of the file, read from those it is made of, which are there.
SourceTensor assemble(const ModelSource& source, const SbsTensorPlan& plan) {
  std::vector<const SourceTensor*> parts;
  for (const SbsPiece& piece : plan.pieces) parts.push_back(source.find(piece.tensor));
  const DType stored = parts.front()->dtype;
  const bool alike = std::ranges::all_of(parts, [&](const SourceTensor* part) { return part->dtype == stored; });
  SourceTensor tensor{plan.name, alike ? stored : DType::f32, {plan.cols, plan.rows}, {}, {}, {}};
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

PlannedTensor planned(SourceTensor tensor, const Packing& type) {
  const std::uint64_t bytes = type.bytes(tensor.rows() * tensor.cols());
  return {std::move(tensor), type, bytes};
}

// Vectors are small, and stay exact. gemma.cpp looks tokens up in types that need no other values to be decoded.
Packing packing_of(const SbsTensorPlan& tensor, const Packing& wanted) {
  if (tensor.rows == 1) return DType::f32;
  return tensor.name == "c_embedding" && !wanted.dtype() ? Packing(DType::sfp) : wanted;
}

Conversion::Find open_written(const std::filesystem::path& path, const std::string& name) {
  auto file = std::make_shared<const MappedFile>(MappedFile::open(path));
  const SbsContents contents = read_sbs_contents(file->bytes(), name);
  return [file, items = contents.tensors](const PlannedTensor& planned) {
    const auto found = std::ranges::find(items, planned.tensor.name, [](const auto& item) { return item.tensor.name; });
    return found == items.end() ? std::span<const std::byte>() : found->bytes;
  };
}

}  // namespace

std::vector<PlannedTensor> plan_sbs(const ModelSource& source, std::string_view type) {
  const Packing& wanted = kind_of(type).packing;
  const std::vector<SbsTensorPlan> tensors = sbs_plan(sbs_shape(sbs_config_of(source), source.path));
  check_tensors(source, tensors);
  std::vector<PlannedTensor> plan;
  for (const SbsTensorPlan& tensor : tensors)
    plan.push_back(planned(assemble(source, tensor), packing_of(tensor, wanted)));
  for (const SourceTensor& extra : source.sbs_extras) plan.push_back(planned(extra, extra.dtype));
  const auto place = [&](const PlannedTensor& planned) {
    return std::ranges::find(source.sbs_order, planned.tensor.name) - source.sbs_order.begin();
  };
  std::ranges::stable_sort(plan, {}, place);
  return plan;
}

CompressReport compress_to_sbs(const ModelSource& source, std::string_view type, const std::filesystem::path& target,
                               const CompressOptions& options) {
  std::vector<PlannedTensor> plan = plan_sbs(source, type);
  Conversion conversion(plan, options);
  SbsWriter writer(sbs_config_of(source));
  for (std::size_t i = 0; i < plan.size(); ++i) {
    SourceTensor& tensor = plan[i].tensor;
    const SbsType stored = kind_of(plan[i].type.name()).type;
    const bool limited = stored == SbsType::sfp || stored == SbsType::nuq;
    const float largest = limited ? conversion.encoder().largest(tensor) : 0;
    const float scale = largest > kSfpLargest ? largest / kSfpLargest : 1;
    if (scale != 1) scale_down(tensor, scale);
    writer.add_tensor({tensor.name, stored, tensor.rows(), tensor.cols(), scale},
                      [&conversion, i, scale](const SbsWriter::Sink& sink) { conversion.encode(i, sink, scale); });
  }
  const std::vector<std::byte> tokenizer = sentencepiece_of(source);
  writer.set_tokenizer({reinterpret_cast<const char*>(tokenizer.data()), tokenizer.size()});
  return std::move(conversion)
      .finish(
          target, [&](const ByteSink& sink) { writer.write(sink); }, open_written);
}

}  // namespace carat
