// The packed types of `.sbs` files that no kernel multiplies by: decoded once, when a file is opened.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/file/sbs_config.h"

namespace carat {

// Where the tables of nuq lie: before the codes of each group, or, until January 2025, all at the front.
enum class NuqLayout : std::uint8_t { by_group, tables_first };

// The bytes of `elements` values in the older layout; the newer one's are sbs_bytes().
std::uint64_t nuq_tables_first_bytes(std::uint64_t elements);

// i8 or nuq as bf16: exact for nuq, to a sixth of its own error for i8. `packed` has the bytes that `elements` values
// take.
std::vector<std::byte> unpack_to_bf16(SbsType type, std::span<const std::byte> packed, std::size_t elements,
                                      NuqLayout layout);

}  // namespace carat
