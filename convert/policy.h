// Which tensor gets which type: the mixtures of ggml's quantiser (llama-quant.cpp of llama.cpp, 2025; they have not
// changed since February of that year), without importance matrix, so that files come out as people know them.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "convert/source.h"
#include "kernels/dtype.h"

namespace carat {

// What a GGUF file as a whole is said to be.
struct FileType {
  std::string_view name;   // as users write it: "q4_k_m"
  std::uint32_t gguf;      // general.file_type
  DType base;              // of most matrices
  std::string_view model;  // as file names spell it: "Q4_K_M"
};

std::span<const FileType> file_types();
const FileType* find_file_type(std::string_view name);  // of any case; null if there is none

// The tensors in the order in which the reference writes them, which its mixtures count by: those of no layer first,
// then layer by layer, by name.
void sort_like_reference(std::vector<SourceTensor>& tensors);

// The type of each tensor, whose rows it fits. `tensors` are sorted.
std::vector<DType> choose_types(const FileType& type, const Metadata& metadata, std::span<const SourceTensor> tensors);

}  // namespace carat
