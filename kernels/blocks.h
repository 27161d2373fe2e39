// The blocks of quantised weights as they lie in files: little-endian, no padding, at even addresses.
// What the fields mean, bit by bit, is said by the codecs in quant/.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/dtype.h"

namespace carat {

inline constexpr std::size_t kBlock = 32;        // elements that share a scale in q4_0 … q8_0 and iq4_nl
inline constexpr std::size_t kSuperBlock = 256;  // elements of a block of the k-quants and iq4_xs

// Fields of type std::uint16_t are halves, except where a comment says otherwise.

struct BlockQ4_0 {
  std::uint16_t d;  // scale
  std::uint8_t qs[kBlock / 2];
};

struct BlockQ4_1 {
  std::uint16_t d;
  std::uint16_t m;  // minimum
  std::uint8_t qs[kBlock / 2];
};

struct BlockQ5_0 {
  std::uint16_t d;
  std::uint8_t qh[kBlock / 8];  // bit 4 of each code
  std::uint8_t qs[kBlock / 2];  // bits 0-3
};

struct BlockQ5_1 {
  std::uint16_t d;
  std::uint16_t m;
  std::uint8_t qh[kBlock / 8];
  std::uint8_t qs[kBlock / 2];
};

struct BlockQ8_0 {
  std::uint16_t d;
  std::int8_t qs[kBlock];
};

struct BlockQ2_K {
  std::uint8_t scales[kSuperBlock / 16];  // per 16 elements: scale in bits 0-3, minimum in bits 4-7
  std::uint8_t qs[kSuperBlock / 4];
  std::uint16_t d;     // scale of the scales
  std::uint16_t dmin;  // scale of the minima
};

struct BlockQ3_K {
  std::uint8_t hmask[kSuperBlock / 8];  // bit 2 of each code
  std::uint8_t qs[kSuperBlock / 4];     // bits 0-1
  std::uint8_t scales[12];              // 16 of 6 bits
  std::uint16_t d;
};

struct BlockQ4_K {
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t scales[12];  // 8 scales and 8 minima of 6 bits: quant/packed_scales.h
  std::uint8_t qs[kSuperBlock / 2];
};

struct BlockQ5_K {
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[kSuperBlock / 8];  // bit 4 of each code
  std::uint8_t qs[kSuperBlock / 2];  // bits 0-3
};

struct BlockQ6_K {
  std::uint8_t ql[kSuperBlock / 2];  // bits 0-3 of each code
  std::uint8_t qh[kSuperBlock / 4];  // bits 4-5
  std::int8_t scales[kSuperBlock / 16];
  std::uint16_t d;
};

struct BlockIQ4_NL {
  std::uint16_t d;
  std::uint8_t qs[kBlock / 2];  // indices into kIq4Values
};

struct BlockIQ4_XS {
  std::uint16_t d;
  std::uint16_t scales_h;                       // an integer: bits 4-5 of the 8 scales
  std::uint8_t scales_l[kSuperBlock / 32 / 2];  // bits 0-3
  std::uint8_t qs[kSuperBlock / 2];             // indices into kIq4Values
};

// The sixteen values of iq4_nl and iq4_xs, denser around zero. ggml-common.h, `kvalues_iq4nl`.
inline constexpr std::array<std::int8_t, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                           1,    13,   25,  38,  53,  69,  89,  113};

template <typename Block, DType type>
inline constexpr bool kLaidOutAsInFiles = sizeof(Block) == info(type).bytes && alignof(Block) <= 2;

static_assert(kLaidOutAsInFiles<BlockQ4_0, DType::q4_0>);
static_assert(kLaidOutAsInFiles<BlockQ4_1, DType::q4_1>);
static_assert(kLaidOutAsInFiles<BlockQ5_0, DType::q5_0>);
static_assert(kLaidOutAsInFiles<BlockQ5_1, DType::q5_1>);
static_assert(kLaidOutAsInFiles<BlockQ8_0, DType::q8_0>);
static_assert(kLaidOutAsInFiles<BlockQ2_K, DType::q2_k>);
static_assert(kLaidOutAsInFiles<BlockQ3_K, DType::q3_k>);
static_assert(kLaidOutAsInFiles<BlockQ4_K, DType::q4_k>);
static_assert(kLaidOutAsInFiles<BlockQ5_K, DType::q5_k>);
static_assert(kLaidOutAsInFiles<BlockQ6_K, DType::q6_k>);
static_assert(kLaidOutAsInFiles<BlockIQ4_NL, DType::iq4_nl>);
static_assert(kLaidOutAsInFiles<BlockIQ4_XS, DType::iq4_xs>);

}  // namespace carat
