#include "engine/file/sbs_toc.h"

#include "engine/error.h"
#include "engine/file/quote.h"
#include "engine/file/sbs_fields.h"
#include "engine/file/sbs_unpack.h"

namespace carat {

namespace {

// More elements than any file has, few enough that their bytes can be counted.
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 40;

// sbs.md, section 4.4 (`MatPtr`).
struct Entry {
  std::string name;
  SbsType type = SbsType::unknown;
  std::uint32_t element_bytes = 0;
  std::uint32_t num_elements = 0;  // of i8 and nuq: bytes
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  float scale = 1;
  std::uint32_t stride = 0;
};

template <class Fields>
void visit_fields(Entry& entry, Fields& field) {
  field(entry.name);
  field(entry.type);
  field(entry.element_bytes);
  field(entry.num_elements);
  field(entry.rows);
  field(entry.cols);
  field(entry.scale);
  field(entry.stride);
}

std::uint32_t element_bytes(SbsType type) { return type == SbsType::f32 ? 4 : type == SbsType::bf16 ? 2 : 1; }

bool holds_weights(SbsType type) {
  return type == SbsType::f32 || type == SbsType::bf16 || type == SbsType::sfp || type == SbsType::nuq ||
         type == SbsType::i8;
}

void check(const ByteReader& in, const Entry& entry) {
  const auto refuse = [&](const std::string& why) { in.fail("tensor " + quote(entry.name) + ": " + why); };
  if (entry.name.empty()) refuse("has no name");
  if (!holds_weights(entry.type))
    throw Unsupported(in.place() + "tensor " + quote(entry.name) + ": type " +
                      std::to_string(static_cast<std::uint32_t>(entry.type)) +
                      " is not supported; these are: 1 (f32) 2 (bf16) 3 (sfp) 4 (nuq) 8 (i8)");
  const std::uint64_t elements = std::uint64_t{entry.rows} * entry.cols;
  if (elements == 0 || elements > kMaxElements)
    refuse("is [" + std::to_string(entry.rows) + ", " + std::to_string(entry.cols) + "], which no tensor is");
  const std::uint64_t bytes = sbs_bytes(entry.type, elements);
  const std::uint32_t each = element_bytes(entry.type);
  const std::uint64_t said = std::uint64_t{entry.num_elements} * each;
  const bool older_nuq = entry.type == SbsType::nuq && said == nuq_tables_first_bytes(elements);
  if (entry.element_bytes != each || (said != bytes && !older_nuq))
    refuse("says " + std::to_string(entry.num_elements) + " elements of " + std::to_string(entry.element_bytes) +
           " bytes, expected " + std::to_string(bytes / each) + " of " + std::to_string(each));
  if (entry.stride != entry.cols)
    refuse("has rows " + std::to_string(entry.stride) + " apart, expected " + std::to_string(entry.cols));
  if (!(entry.scale > 0)) refuse("has a scale of " + std::to_string(entry.scale) + ", expected more than 0");
}

}  // namespace

std::uint64_t sbs_bytes(SbsType type, std::uint64_t elements) {
  switch (type) {
    case SbsType::f32:
      return 4 * elements;
    case SbsType::bf16:
      return 2 * elements;
    case SbsType::nuq:  // per 256: a table of 16 bytes; then 4 bits each
      return 16 * ((elements + 255) / 256) + (elements + 1) / 2;
    case SbsType::i8:  // per 128: inverse scale and zero point
      return 4 * ((elements + 127) / 128) + elements;
    default:
      return elements;
  }
}

std::vector<SbsTensor> parse_sbs_toc(std::span<const std::byte> blob, std::string_view file) {
  const std::string place = std::string(file) + ": blob 'toc'";
  ByteReader in(blob, place);
  std::vector<SbsTensor> tensors;
  while (in.remaining() > 0) {
    Entry entry;
    SbsFieldReader(in, blob.size()).read_struct(entry);
    check(in, entry);
    tensors.push_back({entry.name, entry.type, entry.rows, entry.cols, entry.scale});
  }
  return tensors;
}

std::vector<std::byte> serialise_sbs_toc(std::span<const SbsTensor> tensors) {
  SbsFieldWriter out;
  for (const SbsTensor& tensor : tensors) {
    const std::uint32_t each = element_bytes(tensor.type);
    const std::uint64_t bytes = sbs_bytes(tensor.type, tensor.rows * tensor.cols);
    const auto cols = static_cast<std::uint32_t>(tensor.cols);
    Entry entry{tensor.name,
                tensor.type,
                each,
                static_cast<std::uint32_t>(bytes / each),
                static_cast<std::uint32_t>(tensor.rows),
                cols,
                tensor.scale,
                cols};
    out.write_struct(entry);
  }
  return std::move(out).finish();
}

}  // namespace carat
