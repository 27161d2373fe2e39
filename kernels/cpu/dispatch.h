// Which rows of kernels this machine can use.
#pragma once
#include <span>
#include <string_view>

#include "kernels/cpu/table.h"

namespace carat::cpu {

// Best first; the reference, which every machine can run, is last.
std::span<const Table* const> usable();

// The row of that name among usable(), the best for an empty name; null when there is none.
const Table* select(std::string_view name);

}  // namespace carat::cpu
