// Token ids as people write them.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace carat {

// Ids with commas or white space between them. Throws BadUsage that names `source` and the offset for anything else,
// and for ids from `vocabulary` on.
std::vector<TokenId> parse_ids(std::string_view text, const std::string& source, std::size_t vocabulary);

}  // namespace carat
