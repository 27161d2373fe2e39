// The activation of a gated feed-forward network.
#pragma once
#include <cstdint>

namespace carat {

// act(gate) * up. gelu is the tanh approximation (Hendrycks & Gimpel, 2016; Shazeer, 2020).
enum class Gate : std::uint8_t { silu, gelu };

}  // namespace carat
