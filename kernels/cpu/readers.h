// How each block format gives up its weights: codes as int16, scales and minima as floats. The row products and the
// unpacking are written once over these; a new quantised type adds its reader here.
//
// A reader handles pieces of 256 elements (or 32, at the end of a row, where the block has 32), called units of 32:
//   kElements               elements of a block: 32 or 256
//   kScaleElements          elements that share a scale: 32 or 16
//   kHasMinimum             an element is scale * code + minimum, else scale * code
//   scales<units>(w, out)   32 / kScaleElements floats per unit
//   minima<units>(w, out)   likewise
//   codes<unit>(w)          the 32 codes of one unit
//   raw_codes<unit>(w)      where all codes are shifted to get their sign: without that, kOffset more than `codes`
//   integer_scales(w)       where 16 share a scale: the sixteen of a block, which `d` multiplies
#pragma once
#include "kernels/blocks.h"
#include "kernels/cpu/int16x16.h"

namespace carat::cpu {

template <class Isa>
struct Codes {
  Int16x16<Isa> half[2];
};

template <class Isa, class Block>
struct Reader;

template <class Read>
concept HasOffset = requires {
  Read::kOffset;
};

// What the blocks of 32 have in common: the scale comes first, as a half.
template <class Isa, class Block>
struct SmallBlockReader {
  static constexpr std::size_t kElements = 32;
  static constexpr std::size_t kScaleElements = 32;
  static constexpr bool kHasMinimum = false;
  template <std::size_t units>
  static void scales(const Block* w, float* out) noexcept {
    gather_halves<Isa, units>(&w->d, sizeof(Block), out);
  }
};

template <class Isa, class Block>
struct SmallBlockReaderWithMinimum : SmallBlockReader<Isa, Block> {
  static constexpr bool kHasMinimum = true;
  template <std::size_t units>
  static void minima(const Block* w, float* out) noexcept {
    gather_halves<Isa, units>(&w->m, sizeof(Block), out);
  }
};

// Element j in the low half of byte j, element j + 16 in its high half.
template <class Isa>
inline Codes<Isa> nibbles(const std::uint8_t* qs) noexcept {
  const Int16x16<Isa> bytes = widen<Isa>(qs);
  return {{bytes & 15, bytes >> 4}};
}

// A fifth bit for 32 codes, from a word of bits.
template <class Isa>
inline Codes<Isa> with_fifth_bits(const Codes<Isa>& low, const std::uint8_t (&qh)[4]) noexcept {
  const auto bits = [&](std::size_t i) { return static_cast<std::uint16_t>(qh[2 * i] | qh[2 * i + 1] << 8); };
  return {{low.half[0] | where_bits<Isa>(bits(0), 16), low.half[1] | where_bits<Isa>(bits(1), 16)}};
}

template <class Isa>
inline Codes<Isa> minus(const Codes<Isa>& x, std::int16_t offset) noexcept {
  return {{x.half[0] - offset, x.half[1] - offset}};
}

template <class Isa>
struct Reader<Isa, BlockQ4_0> : SmallBlockReader<Isa, BlockQ4_0> {
  static constexpr std::int16_t kOffset = 8;
  template <std::size_t unit>
  static Codes<Isa> raw_codes(const BlockQ4_0* w) noexcept {
    return nibbles<Isa>(w[unit].qs);
  }
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ4_0* w) noexcept {
    return minus(raw_codes<unit>(w), kOffset);
  }
};

template <class Isa>
struct Reader<Isa, BlockQ4_1> : SmallBlockReaderWithMinimum<Isa, BlockQ4_1> {
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ4_1* w) noexcept {
    return nibbles<Isa>(w[unit].qs);
  }
};

template <class Isa>
struct Reader<Isa, BlockQ5_0> : SmallBlockReader<Isa, BlockQ5_0> {
  static constexpr std::int16_t kOffset = 16;
  template <std::size_t unit>
  static Codes<Isa> raw_codes(const BlockQ5_0* w) noexcept {
    return with_fifth_bits(nibbles<Isa>(w[unit].qs), w[unit].qh);
  }
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ5_0* w) noexcept {
    return minus(raw_codes<unit>(w), kOffset);
  }
};

template <class Isa>
struct Reader<Isa, BlockQ5_1> : SmallBlockReaderWithMinimum<Isa, BlockQ5_1> {
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ5_1* w) noexcept {
    return with_fifth_bits(nibbles<Isa>(w[unit].qs), w[unit].qh);
  }
};

template <class Isa>
struct Reader<Isa, BlockQ8_0> : SmallBlockReader<Isa, BlockQ8_0> {
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ8_0* w) noexcept {
    return {{widen<Isa>(w[unit].qs), widen<Isa>(w[unit].qs + 16)}};
  }
};

template <class Isa>
inline Codes<Isa> iq4_codes(const std::uint8_t* qs) noexcept {
  static constexpr auto kValues = kIq4Values;  // a copy: all instruction sets would share the other's symbol
  Codes<Isa> out;
  look_up_nibbles<Isa>(qs, kValues.data(), out.half[0], out.half[1]);
  return out;
}

template <class Isa>
struct Reader<Isa, BlockIQ4_NL> : SmallBlockReader<Isa, BlockIQ4_NL> {
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockIQ4_NL* w) noexcept {
    return iq4_codes<Isa>(w[unit].qs);
  }
};

template <class Isa>
struct Reader<Isa, BlockIQ4_XS> {
  static constexpr std::size_t kElements = 256;
  static constexpr std::size_t kScaleElements = 32;
  static constexpr bool kHasMinimum = false;
  template <std::size_t units>
  static void scales(const BlockIQ4_XS* w, float* out) noexcept {
    const float d = half_value<Isa>(w->d);
    for (std::size_t j = 0; j < units; ++j) {
      const int low = w->scales_l[j / 2] >> 4 * (j % 2) & 15, high = w->scales_h >> 2 * j & 3;
      out[j] = d * static_cast<float>((low | high << 4) - 32);
    }
  }
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockIQ4_XS* w) noexcept {
    return iq4_codes<Isa>(w->qs + 16 * unit);
  }
};

// The eight 6-bit scales and minima of q4_k and q5_k, a byte each (quants.md, 4.2).
struct PackedScales {
  std::uint64_t scales, minima;
};
template <class Isa>
inline PackedScales unpack_scales(const std::uint8_t (&packed)[12]) noexcept {
  std::uint32_t a, b, c;
  __builtin_memcpy(&a, packed, 4);
  __builtin_memcpy(&b, packed + 4, 4);
  __builtin_memcpy(&c, packed + 8, 4);
  const auto join = [](std::uint32_t low, std::uint32_t high) { return low | static_cast<std::uint64_t>(high) << 32; };
  return {join(a & 0x3F3F3F3F, (c & 0x0F0F0F0F) | (a >> 2 & 0x30303030)),
          join(b & 0x3F3F3F3F, (c >> 4 & 0x0F0F0F0F) | (b >> 2 & 0x30303030))};
}

template <class Isa, class Block>
struct PackedScaleReader {
  static constexpr std::size_t kElements = 256;
  static constexpr std::size_t kScaleElements = 32;
  static constexpr bool kHasMinimum = true;
  template <std::size_t units>
  static void scales(const Block* w, float* out) noexcept {
    scaled(unpack_scales<Isa>(w->scales).scales, half_value<Isa>(w->d), out);
  }
  template <std::size_t units>
  static void minima(const Block* w, float* out) noexcept {
    scaled(unpack_scales<Isa>(w->scales).minima, -half_value<Isa>(w->dmin), out);
  }

 private:
  static void scaled(std::uint64_t bytes, float factor, float* out) noexcept {
    bytes_to_floats<Isa>(bytes, out);
    for (std::size_t i = 0; i < 8; ++i) out[i] *= factor;
  }
};

template <class Isa>
struct Reader<Isa, BlockQ4_K> : PackedScaleReader<Isa, BlockQ4_K> {
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ4_K* w) noexcept {
    const auto half = [&](std::size_t i) {
      const Int16x16<Isa> bytes = widen<Isa>(w->qs + unit / 2 * 32 + 16 * i);
      return unit % 2 == 0 ? bytes & 15 : bytes >> 4;
    };
    return {{half(0), half(1)}};
  }
};

template <class Isa>
struct Reader<Isa, BlockQ5_K> : PackedScaleReader<Isa, BlockQ5_K> {
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ5_K* w) noexcept {
    const auto half = [&](std::size_t i) {
      const Int16x16<Isa> bytes = widen<Isa>(w->qs + unit / 2 * 32 + 16 * i);
      const Int16x16<Isa> fifth = (widen<Isa>(w->qh + 16 * i) << 4 >> static_cast<int>(unit)) & 16;
      return (unit % 2 == 0 ? bytes & 15 : bytes >> 4) | fifth;
    };
    return {{half(0), half(1)}};
  }
};

// factor * x, sixteen floats.
template <class Isa>
inline void scaled(const Int16x16<Isa>& x, float factor, float* out) noexcept {
  constexpr std::size_t kLanes = narrow_vec<float, Isa>::size;
  const narrow_vec<float, Isa> factors(factor);
  for (std::size_t i = 0; i < 16 / kLanes; ++i) (factors * to_float<Isa>(x, i)).store_unaligned(out + i * kLanes);
}

// What the super-blocks have in common in which sixteen elements share a scale.
template <class Isa, class Block>
struct HalfGroupReader {
  static constexpr std::size_t kElements = 256;
  static constexpr std::size_t kScaleElements = 16;
  static constexpr bool kHasMinimum = false;
  template <std::size_t units>
  static void scales(const Block* w, float* out) noexcept {
    scaled<Isa>(Reader<Isa, Block>::integer_scales(w), half_value<Isa>(w->d), out);
  }
};

template <class Isa>
struct Reader<Isa, BlockQ2_K> : HalfGroupReader<Isa, BlockQ2_K> {
  static constexpr bool kHasMinimum = true;
  static Int16x16<Isa> integer_scales(const BlockQ2_K* w) noexcept { return widen<Isa>(w->scales) & 15; }
  template <std::size_t units>
  static void minima(const BlockQ2_K* w, float* out) noexcept {
    scaled<Isa>(widen<Isa>(w->scales) >> 4, -half_value<Isa>(w->dmin), out);
  }
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ2_K* w) noexcept {
    const auto half = [&](std::size_t i) {
      return widen<Isa>(w->qs + unit / 4 * 32 + 16 * i) >> static_cast<int>(2 * (unit % 4)) & 3;
    };
    return {{half(0), half(1)}};
  }
};

template <class Isa>
struct Reader<Isa, BlockQ3_K> : HalfGroupReader<Isa, BlockQ3_K> {
  static Int16x16<Isa> integer_scales(const BlockQ3_K* w) noexcept {
    std::int16_t scales[16];
    for (std::size_t i = 0; i < 16; ++i) {
      const int low = i < 8 ? w->scales[i] & 15 : w->scales[i - 8] >> 4, high = w->scales[8 + i % 4] >> 2 * (i / 4) & 3;
      scales[i] = static_cast<std::int16_t>((low | high << 4) - 32);
    }
    return load16<Isa>(scales);
  }
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ3_K* w) noexcept {
    const auto half = [&](std::size_t i) {
      const Int16x16<Isa> low = widen<Isa>(w->qs + unit / 4 * 32 + 16 * i) >> static_cast<int>(2 * (unit % 4)) & 3;
      const Int16x16<Isa> high = (widen<Isa>(w->hmask + 16 * i) << 2 >> static_cast<int>(unit)) & 4;
      return (low | high) - 4;
    };
    return {{half(0), half(1)}};
  }
};

template <class Isa>
struct Reader<Isa, BlockQ6_K> : HalfGroupReader<Isa, BlockQ6_K> {
  static Int16x16<Isa> integer_scales(const BlockQ6_K* w) noexcept { return widen<Isa>(w->scales); }
  static constexpr std::int16_t kOffset = 32;
  template <std::size_t unit>
  static Codes<Isa> codes(const BlockQ6_K* w) noexcept {
    return minus(raw_codes<unit>(w), kOffset);
  }
  template <std::size_t unit>
  static Codes<Isa> raw_codes(const BlockQ6_K* w) noexcept {
    constexpr std::size_t kHalf = unit / 4, kQuarter = unit % 4;  // 128 elements; 32 of them
    const auto half = [&](std::size_t i) {
      const Int16x16<Isa> bytes = widen<Isa>(w->ql + 64 * kHalf + 32 * (kQuarter % 2) + 16 * i);
      const Int16x16<Isa> high = (widen<Isa>(w->qh + 32 * kHalf + 16 * i) << 4 >> static_cast<int>(2 * kQuarter)) & 48;
      return (kQuarter < 2 ? bytes & 15 : bytes >> 4) | high;
    };
    return {{half(0), half(1)}};
  }
};

}  // namespace carat::cpu
