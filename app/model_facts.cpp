#include "app/model_facts.h"

#include <algorithm>
#include <filesystem>
#include <map>

namespace carat {

ModelFacts model_facts(const ModelFile& file, std::size_t trained_context) {
  ModelFacts facts;
  facts.path = file.path();
  facts.name = file.metadata().text_or("general.name", "");
  if (facts.name.empty()) facts.name = std::filesystem::path(file.path()).stem().string();
  facts.format = file.format();
  facts.architecture = file.metadata().text_or("general.architecture", "");
  facts.context = trained_context;
  std::map<DType, std::uint64_t> bytes;
  for (const FileTensor& tensor : file.tensors()) {
    const Tensor matrix = as_matrix(tensor);
    facts.parameters += std::uint64_t{matrix.rows} * matrix.cols;
    bytes[tensor.dtype] += tensor.bytes.size();
  }
  const auto most = std::ranges::max_element(bytes, {}, [](const auto& sum) { return sum.second; });
  if (most == bytes.end()) return facts;
  const DTypeInfo& type = info(most->first);
  facts.quant = type.name;
  facts.bits = static_cast<int>(8 * type.bytes / type.block);  // rounded down: without the scales
  return facts;
}

std::uint64_t weight_bytes(const ModelFile& file) {
  std::uint64_t bytes = 0;
  for (const FileTensor& tensor : file.tensors()) bytes += tensor.bytes.size();
  return bytes;
}

}  // namespace carat
