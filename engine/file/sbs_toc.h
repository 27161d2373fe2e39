// The directory of tensors inside an `.sbs` file (blob `toc`).
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "engine/file/sbs.h"

namespace carat {

// Entries of sound shapes: neither empty nor beyond what a file can hold, of a known type, with a scale above 0. Throws
// BadFile, and Unsupported for types that hold no weights.
std::vector<SbsTensor> parse_sbs_toc(std::span<const std::byte> blob, std::string_view file);

std::vector<std::byte> serialise_sbs_toc(std::span<const SbsTensor> tensors);

}  // namespace carat
