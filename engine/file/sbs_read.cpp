// From the contents of an `.sbs` file to a ModelFile: the tensors get the names and shapes that the network knows.
#include <algorithm>
#include <cstring>
#include <map>

#include "engine/error.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"
#include "engine/file/sbs_contents.h"
#include "engine/file/sbs_metadata.h"
#include "engine/file/sbs_names.h"
#include "kernels/quant/codecs.h"

namespace carat {

namespace {

// A tensor as it lies in the file, in a type that kernels know.
struct Matrix {
  DType dtype;
  std::size_t rows, cols;
  const std::byte* bytes;
  float scale;

  std::size_t row_size() const { return row_bytes(dtype, cols); }
};

// A piece of a canonical tensor, and the row of the file's matrix that it begins at.
struct Found {
  const SbsPiece* piece;
  std::size_t row;
};

// Hands over, one tensor of the file after the other, the canonical ones that it is made of.
class Assembler {
 public:
  explicit Assembler(FilePart& part) : part_(part) {}

  // Without a plan the tensor keeps its name and shape.
  void take(const SbsContents::Item& item, const SbsTensorPlan* plan) {
    std::vector<std::byte> unpacked;
    const Matrix matrix = readable(item, unpacked);
    bool viewed = false;
    if (plan == nullptr) {
      add(item.tensor.name, matrix, {matrix.bytes, matrix.rows * matrix.row_size()});
      viewed = true;
    } else if (plan->subtract_one) {
      add_gain(plan->pieces.front().tensor, matrix);
    } else {
      viewed = split(matrix, *plan);
    }
    if (viewed && !unpacked.empty()) keep(std::move(unpacked));
  }

 private:
  static Matrix readable(const SbsContents::Item& item, std::vector<std::byte>& unpacked) {
    const SbsTensor& tensor = item.tensor;
    const auto dtype = dtype_from_sbs(static_cast<std::uint32_t>(tensor.type));
    if (dtype) return {*dtype, tensor.rows, tensor.cols, item.bytes.data(), tensor.scale};
    unpacked = unpack_to_bf16(tensor.type, item.bytes, tensor.rows * tensor.cols, item.layout);
    return {DType::bf16, tensor.rows, tensor.cols, unpacked.data(), tensor.scale};
  }

  std::span<const std::byte> keep(std::vector<std::byte> bytes) { return part_.owned.emplace_back(std::move(bytes)); }

  void add(const std::string& name, const Matrix& shape, std::span<const std::byte> bytes) {
    const std::size_t n_dims = shape.rows == 1 ? 1 : 2;
    part_.tensors.push_back({name, shape.dtype, {shape.cols, shape.rows, 1, 1}, n_dims, 0, bytes, shape.scale});
  }

  // gemma.cpp multiplies by 1 + gain; GGUF files, and the network here, by what they hold.
  void add_gain(const std::string& name, const Matrix& matrix) {
    std::vector<float> values(matrix.cols);
    const std::vector<std::byte> aligned(matrix.bytes, matrix.bytes + matrix.row_size());
    dequantize_row(matrix.dtype, aligned.data(), values.data(), values.size());
    for (float& value : values) value = 1 + value * matrix.scale;
    const auto bytes = std::as_bytes(std::span(values));
    add(name, {DType::f32, 1, matrix.cols, nullptr, 1}, keep({bytes.begin(), bytes.end()}));
  }

  // True if one of the tensors is a view into the matrix.
  bool split(const Matrix& matrix, const SbsTensorPlan& plan) {
    std::map<std::string_view, std::vector<Found>> tensors;
    std::size_t row = 0;
    for (const SbsPiece& piece : plan.pieces) {
      tensors[piece.tensor].push_back({&piece, row});
      row += piece.rows;
    }
    bool viewed = false;
    for (const auto& [name, pieces] : tensors) {
      if (pieces.size() > 1) {
        add_copy(std::string(name), matrix, pieces);
      } else {
        const Found& only = pieces.front();
        const Matrix shape{matrix.dtype, only.piece->rows, matrix.cols, nullptr, matrix.scale};
        add(std::string(name), shape, {matrix.bytes + only.row * matrix.row_size(), shape.rows * shape.row_size()});
        viewed = true;
      }
    }
    return viewed;
  }

  // The pieces lie apart, or beside each other in the tensor's rows.
  void add_copy(const std::string& name, const Matrix& matrix, const std::vector<Found>& pieces) {
    Matrix shape{matrix.dtype, 0, 0, nullptr, matrix.scale};
    for (const auto& [piece, row] : pieces) {
      shape.rows = std::max(shape.rows, piece->first_row + piece->rows);
      shape.cols = std::max(shape.cols, piece->first_col + matrix.cols);
    }
    std::vector<std::byte> bytes(shape.rows * shape.row_size());
    for (const auto& [piece, row] : pieces) {
      std::byte* to = bytes.data() + piece->first_row * shape.row_size() + row_bytes(shape.dtype, piece->first_col);
      const std::byte* from = matrix.bytes + row * matrix.row_size();
      for (std::size_t r = 0; r < piece->rows; ++r)
        std::memcpy(to + r * shape.row_size(), from + r * matrix.row_size(), matrix.row_size());
    }
    add(name, shape, keep(std::move(bytes)));
  }

  FilePart& part_;
};

void check_shape(const SbsTensor& tensor, const SbsTensorPlan& plan, const std::string& file) {
  if (tensor.rows == plan.rows && tensor.cols == plan.cols) return;
  const auto shape = [](std::size_t rows, std::size_t cols) {
    return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
  };
  throw BadFile(file + ": tensor " + quote(tensor.name) + ": shape " + shape(tensor.rows, tensor.cols) + ", expected " +
                shape(plan.rows, plan.cols) + " by the configuration");
}

}  // namespace

ModelFile assemble_sbs(const SbsContents& contents, MappedFile mapping, std::span<const std::byte> bytes,
                       const std::string& file) {
  FilePart part{.path = file, .mapping = std::move(mapping), .bytes = bytes, .metadata = Metadata(file), .tensors = {}};
  part.version = contents.version;
  part.metadata = sbs_metadata(contents.config, contents.tokenizer, file, part.owned);
  const auto plans = sbs_plans_by_name(sbs_shape(contents.config, file));
  Assembler assembler(part);
  for (const SbsContents::Item& item : contents.tensors) {
    const auto plan = plans.find(item.tensor.name);
    if (plan != plans.end()) check_shape(item.tensor, plan->second, file);
    assembler.take(item, plan == plans.end() ? nullptr : &plan->second);
  }
  std::vector<FilePart> parts;
  parts.push_back(std::move(part));
  return ModelFile("sbs", std::move(parts));
}

bool is_sbs(std::span<const std::byte> bytes) {
  return bytes.size() >= kSbsMagic.size() &&
         std::ranges::equal(bytes.first(kSbsMagic.size()), std::as_bytes(std::span(kSbsMagic)));
}

ModelFile read_sbs(MappedFile file, const std::filesystem::path& path) {
  const std::span<const std::byte> bytes = file.bytes();
  return assemble_sbs(read_sbs_contents(bytes, path.string()), std::move(file), bytes, path.string());
}

ModelFile parse_sbs(std::span<const std::byte> bytes, const std::string& name) {
  return assemble_sbs(read_sbs_contents(bytes, name), MappedFile(), bytes, name);
}

}  // namespace carat
