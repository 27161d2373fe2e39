// What values are encoded to: a type that the kernels know, or one that .sbs files alone have.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "engine/file/sbs_config.h"
#include "kernels/cpu/table.h"
#include "kernels/dtype.h"

namespace carat {

class Packing {
 public:
  Packing(DType dtype) : type_(dtype) {}  // NOLINT: a DType is one
  static Packing i8() { return Packing(SbsType::i8); }
  static Packing nuq() { return Packing(SbsType::nuq); }

  std::string_view name() const;
  std::optional<DType> dtype() const;  // none if no kernel knows it

  // Values that are encoded together; of .sbs files' own types they run on from row to row.
  std::size_t group() const;

  // What that many values take; they begin with a group.
  std::uint64_t bytes(std::uint64_t values) const;

  // `values` [n] become `packed`, which stand for `decoded` [n]. Of a DType, n is a multiple of its block.
  void encode(const cpu::Table& isa, const float* values, std::size_t n, std::byte* packed, float* decoded) const;

  bool operator==(const Packing&) const = default;

 private:
  explicit Packing(SbsType type) : type_(type) {}

  std::variant<DType, SbsType> type_;
};

}  // namespace carat
