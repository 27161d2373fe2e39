// Old `.sbs` files made new: everything in one file.
#pragma once
#include <filesystem>

namespace carat {

// Writes the tensors of `old_file`, byte for byte, with their directory, scales and configuration and the SentencePiece
// model `tokenizer` to `target`, as gemma.cpp of late 2025 reads it. Without a `tokenizer` (an empty path) the one
// inside the old file is kept. `target` appears whole or not at all. Throws BadFile and Unsupported.
void migrate(const std::filesystem::path& old_file, const std::filesystem::path& tokenizer,
             const std::filesystem::path& target);

}  // namespace carat
