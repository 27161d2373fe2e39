// The element types of weights: names, ids in files, block sizes. A new quantised type starts with its row here.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace carat {

enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  sfp,
};

struct DTypeInfo {
  DType id;
  std::string_view name;              // as users write it: "q4_0"
  std::optional<std::uint32_t> gguf;  // ggml_type in a GGUF tensor info, if GGUF has the type
  std::optional<std::uint32_t> sbs;   // Type in the directory of an .sbs file, likewise
  std::size_t block;                  // elements per block
  std::size_t bytes;                  // bytes per block
};

inline constexpr std::array kDTypes = {
    DTypeInfo{DType::f32, "f32", 0, 1, 1, 4},
    DTypeInfo{DType::f16, "f16", 1, {}, 1, 2},
    DTypeInfo{DType::bf16, "bf16", 30, 2, 1, 2},
    DTypeInfo{DType::q4_0, "q4_0", 2, {}, 32, 18},
    DTypeInfo{DType::q4_1, "q4_1", 3, {}, 32, 20},
    DTypeInfo{DType::q5_0, "q5_0", 6, {}, 32, 22},
    DTypeInfo{DType::q5_1, "q5_1", 7, {}, 32, 24},
    DTypeInfo{DType::q8_0, "q8_0", 8, {}, 32, 34},
    DTypeInfo{DType::q2_k, "q2_k", 10, {}, 256, 84},
    DTypeInfo{DType::q3_k, "q3_k", 11, {}, 256, 110},
    DTypeInfo{DType::q4_k, "q4_k", 12, {}, 256, 144},
    DTypeInfo{DType::q5_k, "q5_k", 13, {}, 256, 176},
    DTypeInfo{DType::q6_k, "q6_k", 14, {}, 256, 210},
    DTypeInfo{DType::iq4_nl, "iq4_nl", 20, {}, 32, 18},
    DTypeInfo{DType::iq4_xs, "iq4_xs", 23, {}, 256, 136},
    DTypeInfo{DType::sfp, "sfp", {}, 3, 1, 1},
};
inline constexpr std::size_t kDTypeCount = kDTypes.size();

static_assert(
    [] {
      for (std::size_t i = 0; i < kDTypeCount; ++i)
        if (static_cast<std::size_t>(kDTypes[i].id) != i) return false;
      return true;
    }(),
    "kDTypes must follow the order of DType");

constexpr const DTypeInfo& info(DType type) { return kDTypes[static_cast<std::size_t>(type)]; }

constexpr bool is_quantised(DType type) { return info(type).block > 1; }

// Bytes of one row of `cols` elements; `cols` is a multiple of the block size.
constexpr std::size_t row_bytes(DType type, std::size_t cols) { return cols / info(type).block * info(type).bytes; }

constexpr std::optional<DType> dtype_from_gguf(std::uint32_t id) {
  for (const DTypeInfo& row : kDTypes)
    if (row.gguf == id) return row.id;
  return std::nullopt;
}

constexpr std::optional<DType> dtype_from_sbs(std::uint32_t id) {
  for (const DTypeInfo& row : kDTypes)
    if (row.sbs == id) return row.id;
  return std::nullopt;
}

constexpr std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& row : kDTypes)
    if (row.name == name) return row.id;
  return std::nullopt;
}

}  // namespace carat
