#include "engine/file/sbs_unpack.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "engine/file/byte_reader.h"
#include "kernels/half.h"
#include "kernels/quant/sfp.h"

namespace carat {

namespace {

constexpr std::size_t kI8Group = 128, kI8Head = 4;
constexpr std::size_t kNuqGroup = 256, kNuqTable = 16;
constexpr std::uint64_t kNuqAlignment = 64;  // of the codes in the older layout

// Group: bf16 inverse scale, bf16 zero point, then a code per value (sbs.md, section 8.4).
void unpack_i8(const std::byte* packed, std::size_t elements, std::uint16_t* out) {
  for (std::size_t first = 0; first < elements; first += kI8Group) {
    std::uint16_t head[2];
    std::memcpy(head, packed, kI8Head);
    const float step = bf16_to_float(head[0]);
    const float offset = -(bf16_to_float(head[1]) * step);
    const std::size_t count = std::min(kI8Group, elements - first);
    for (std::size_t i = 0; i < count; ++i) {
      const auto code = static_cast<float>(std::to_integer<std::int8_t>(packed[kI8Head + i]));
      out[first + i] = bf16_from_float(std::fma(step, code, offset));
    }
    packed += kI8Head + count;
  }
}

// Group: a table of sixteen values in sfp, then the index of each value in 4 bits, low ones first (section 8.3).
void unpack_nuq(const std::byte* packed, std::size_t elements, NuqLayout layout, std::uint16_t* out) {
  const std::size_t groups = (elements + kNuqGroup - 1) / kNuqGroup;
  const bool by_group = layout == NuqLayout::by_group;
  const std::size_t table_stride = by_group ? kNuqTable + kNuqGroup / 2 : kNuqTable;
  const std::byte* codes = packed + (by_group ? kNuqTable : round_up(kNuqTable * groups, kNuqAlignment));
  const std::size_t code_stride = by_group ? table_stride : kNuqGroup / 2;
  for (std::size_t group = 0; group < groups; ++group, packed += table_stride, codes += code_stride) {
    std::uint16_t table[kNuqTable];
    for (std::size_t i = 0; i < kNuqTable; ++i)
      table[i] = bf16_from_float(sfp_to_float(std::to_integer<std::uint8_t>(packed[i])));
    const std::size_t first = group * kNuqGroup, count = std::min(kNuqGroup, elements - first);
    for (std::size_t i = 0; i < count; ++i)
      out[first + i] = table[std::to_integer<std::size_t>(codes[i / 2]) >> (i % 2 * 4) & 15];
  }
}

}  // namespace

std::uint64_t nuq_tables_first_bytes(std::uint64_t elements) {
  return round_up(kNuqTable * ((elements + kNuqGroup - 1) / kNuqGroup), kNuqAlignment) + (elements + 1) / 2;
}

std::vector<std::byte> unpack_to_bf16(SbsType type, std::span<const std::byte> packed, std::size_t elements,
                                      NuqLayout layout) {
  assert(type == SbsType::i8 || type == SbsType::nuq);
  std::vector<std::byte> out(elements * sizeof(std::uint16_t));
  auto* values = reinterpret_cast<std::uint16_t*>(out.data());
  if (type == SbsType::i8) {
    unpack_i8(packed.data(), elements, values);
  } else {
    unpack_nuq(packed.data(), elements, layout, values);
  }
  return out;
}

}  // namespace carat
