// The model inside the program: what answers where no other is named.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace carat {

// Also its path, before every file that is called so: "./demo" is one.
inline constexpr std::string_view kDemoName = "demo";

// A GGUF file, made by scripts/train-demo. Aligned as its tensors ask for.
std::span<const std::byte> demo_bytes();

}  // namespace carat
