// What the rows of weights on the device mean: one decoder for each type, which gives a few values at a time.
#pragma once
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/cuda/layout.h"
#include "kernels/quant/sfp.h"

namespace carat::cuda {

using Bytes = const std::uint8_t*;

// A row: the front parts of its blocks, and what is left of them.
struct RowAt {
  Bytes front, rest;
};

__device__ __forceinline__ uint4 load16(Bytes at) { return *reinterpret_cast<const uint4*>(at); }
__device__ __forceinline__ unsigned load2(Bytes at) { return *reinterpret_cast<const std::uint16_t*>(at); }
__device__ __forceinline__ float half_bits(unsigned bits) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
}
__device__ __forceinline__ float load_half(Bytes at) { return half_bits(load2(at)); }
__device__ __forceinline__ float bf16_bits(unsigned bits) { return __uint_as_float(bits << 16); }

// code - less, for a code below 2^23, without the slow conversion of integers: the code becomes the last bits of 2^23.
template <unsigned less>
__device__ __forceinline__ float code_less(unsigned code) {
  return __uint_as_float(0x4B000000u | code) - (8388608.0f + static_cast<float>(less));
}

__device__ __forceinline__ unsigned byte_of(unsigned word, unsigned i) { return word >> (8 * i) & 255u; }

// `size` values of a row; value i is scale[i * scales / size] * code[i] - min[…]. A type without scales has none.
template <unsigned size, unsigned scales, bool has_min>
struct Unit {
  static constexpr unsigned kSize = size, kScales = scales;
  static constexpr bool kHasMin = has_min;
  float code[size];
  float scale[scales == 0 ? 1 : scales];
  float min[has_min ? scales : 1];

  __device__ float value(unsigned i) const {
    if constexpr (scales == 0) {
      return code[i];
    } else {
      const float product = scale[i * scales / size] * code[i];
      if constexpr (has_min) return product - min[i * scales / size];
      return product;
    }
  }
};

// decode<type>(row, u): values [u * kSize, (u + 1) * kSize) of the row.
template <DType type>
struct Decoder;

template <>
struct Decoder<DType::f32> : Unit<4, 0, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    const uint4 w = load16(row.front + 16 * std::size_t{u});
    code[0] = __uint_as_float(w.x), code[1] = __uint_as_float(w.y);
    code[2] = __uint_as_float(w.z), code[3] = __uint_as_float(w.w);
  }
};

// The eight 16-bit values of 16 bytes.
template <class ToFloat>
__device__ __forceinline__ void read_pairs(Bytes at, float* out, ToFloat to_float) {
  const uint4 w = load16(at);
  const unsigned words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) out[2 * i] = to_float(words[i] & 0xFFFFu), out[2 * i + 1] = to_float(words[i] >> 16);
}

template <>
struct Decoder<DType::f16> : Unit<8, 0, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    read_pairs(row.front + 16 * std::size_t{u}, code, [](unsigned bits) { return half_bits(bits); });
  }
};

template <>
struct Decoder<DType::bf16> : Unit<8, 0, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    read_pairs(row.front + 16 * std::size_t{u}, code, [](unsigned bits) { return bf16_bits(bits); });
  }
};

// Each byte of 16 through `f(byte, index)`.
template <class F>
__device__ __forceinline__ void each_byte(Bytes at, F f) {
  const uint4 w = load16(at);
  const unsigned words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {
#pragma unroll
    for (unsigned j = 0; j < 4; ++j) f(byte_of(words[i], j), 4 * i + j);
  }
}

template <>
struct Decoder<DType::sfp> : Unit<16, 0, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    each_byte(row.front + 16 * std::size_t{u},
              [this](unsigned byte, unsigned i) { code[i] = sfp_to_float(static_cast<std::uint8_t>(byte)); });
  }
};

template <>
struct Decoder<DType::q4_0> : Unit<32, 1, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    each_byte(row.front + 16 * std::size_t{u}, [this](unsigned byte, unsigned i) {
      code[i] = code_less<8>(byte & 15u), code[i + 16] = code_less<8>(byte >> 4);
    });
    scale[0] = load_half(row.rest + 2 * std::size_t{u});
  }
};

template <>
struct Decoder<DType::q4_1> : Unit<32, 1, true> {
  __device__ Decoder(RowAt row, unsigned u) {
    each_byte(row.front + 16 * std::size_t{u}, [this](unsigned byte, unsigned i) {
      code[i] = code_less<0>(byte & 15u), code[i + 16] = code_less<0>(byte >> 4);
    });
    scale[0] = load_half(row.rest + 4 * std::size_t{u});
    min[0] = -load_half(row.rest + 4 * std::size_t{u} + 2);
  }
};

template <>
struct Decoder<DType::q5_0> : Unit<32, 1, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    const Bytes rest = row.rest + 6 * std::size_t{u};
    const unsigned fifth = load2(rest + 2) | load2(rest + 4) << 16;
    each_byte(row.front + 16 * std::size_t{u}, [this, fifth](unsigned byte, unsigned i) {
      code[i] = code_less<16>((byte & 15u) | (fifth >> i & 1u) << 4);
      code[i + 16] = code_less<16>(byte >> 4 | (fifth >> (i + 16) & 1u) << 4);
    });
    scale[0] = load_half(rest);
  }
};

template <>
struct Decoder<DType::q5_1> : Unit<32, 1, true> {
  __device__ Decoder(RowAt row, unsigned u) {
    const Bytes rest = row.rest + 8 * std::size_t{u};
    const unsigned fifth = load2(rest + 4) | load2(rest + 6) << 16;
    each_byte(row.front + 16 * std::size_t{u}, [this, fifth](unsigned byte, unsigned i) {
      code[i] = code_less<0>((byte & 15u) | (fifth >> i & 1u) << 4);
      code[i + 16] = code_less<0>(byte >> 4 | (fifth >> (i + 16) & 1u) << 4);
    });
    scale[0] = load_half(rest);
    min[0] = -load_half(rest + 2);
  }
};

template <>
struct Decoder<DType::q8_0> : Unit<32, 1, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    const Bytes front = row.front + 32 * std::size_t{u};
#pragma unroll
    for (unsigned h = 0; h < 2; ++h)
      each_byte(front + 16 * h, [&](unsigned byte, unsigned i) { code[16 * h + i] = code_less<128>(byte ^ 128u); });
    scale[0] = load_half(row.rest + 2 * std::size_t{u});
  }
};

// The values of iq4_nl and iq4_xs, each with 128 added, as bytes of two words.
constexpr std::uint64_t iq4_word(std::size_t first) {
  std::uint64_t word = 0;
  for (std::size_t i = 8; i-- > 0;) word = word << 8 | static_cast<std::uint64_t>(kIq4Values[first + i] + 128);
  return word;
}
__device__ __forceinline__ float iq4_value(unsigned code) {
  constexpr std::uint64_t low = iq4_word(0), high = iq4_word(8);
  return code_less<128>(static_cast<unsigned>((code < 8 ? low : high) >> (8 * (code & 7u))) & 255u);
}

template <>
struct Decoder<DType::iq4_nl> : Unit<32, 1, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    each_byte(row.front + 16 * std::size_t{u}, [this](unsigned byte, unsigned i) {
      code[i] = iq4_value(byte & 15u), code[i + 16] = iq4_value(byte >> 4);
    });
    scale[0] = load_half(row.rest + 2 * std::size_t{u});
  }
};

// Super-blocks: eight units of 32 each. The lanes that share one read the same bytes in the same instruction.

template <>
struct Decoder<DType::iq4_xs> : Unit<32, 1, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    const unsigned j = u % 8;
    const Bytes rest = row.rest + 8 * std::size_t{u / 8};
    each_byte(row.front + 128 * std::size_t{u / 8} + 16 * j, [this](unsigned byte, unsigned i) {
      code[i] = iq4_value(byte & 15u), code[i + 16] = iq4_value(byte >> 4);
    });
    const unsigned low = rest[4 + j / 2] >> (4 * (j % 2)) & 15u, high = load2(rest + 2) >> (2 * j) & 3u;
    scale[0] = load_half(rest) * code_less<32>(low | high << 4);
  }
};

template <>
struct Decoder<DType::q2_k> : Unit<32, 2, true> {
  __device__ Decoder(RowAt row, unsigned u) {
    const unsigned j = u % 8;
    const Bytes front = row.front + 80 * std::size_t{u / 8}, rest = row.rest + 4 * std::size_t{u / 8};
#pragma unroll
    for (unsigned h = 0; h < 2; ++h) {
      each_byte(front + 16 + 32 * (j / 4) + 16 * h,
                [&](unsigned byte, unsigned i) { code[16 * h + i] = code_less<0>(byte >> (2 * (j % 4)) & 3u); });
      const unsigned both = front[2 * j + h];
      scale[h] = load_half(rest) * code_less<0>(both & 15u);
      min[h] = load_half(rest + 2) * code_less<0>(both >> 4);
    }
  }
};

template <>
struct Decoder<DType::q3_k> : Unit<32, 2, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    const unsigned j = u % 8;
    const Bytes front = row.front + 96 * std::size_t{u / 8}, rest = row.rest + 14 * std::size_t{u / 8};
#pragma unroll
    for (unsigned h = 0; h < 2; ++h) {
      each_byte(front + 32 + 32 * (j / 4) + 16 * h,
                [&](unsigned byte, unsigned i) { code[16 * h + i] = __uint_as_float(byte >> (2 * (j % 4)) & 3u); });
      each_byte(front + 16 * h, [&](unsigned byte, unsigned i) {
        code[16 * h + i] = code_less<4>(__float_as_uint(code[16 * h + i]) | (byte >> j & 1u) << 2);
      });
      const unsigned s = 2 * j + h;
      const unsigned low = s < 8 ? rest[s] & 15u : rest[s - 8] >> 4, high = rest[8 + s % 4] >> (s / 4 * 2) & 3u;
      scale[h] = load_half(rest + 12) * code_less<32>(low | high << 4);
    }
  }
};

// The 16 bytes that q4_k and q5_k begin with: d, dmin, and scale and minimum j of eight, as unpack_sub_scale has them.
struct SubScales {
  float scale, min;
  __device__ SubScales(Bytes block, unsigned j) {
    const uint4 head = load16(block);
    const unsigned low = j % 4 * 8;
    const unsigned a = head.y >> low & 255u, b = head.z >> low & 255u, c = head.w >> low & 255u;
    const unsigned s = j < 4 ? a & 63u : (c & 15u) | a >> 6 << 4;
    const unsigned m = j < 4 ? b & 63u : c >> 4 | b >> 6 << 4;
    scale = half_bits(head.x & 0xFFFFu) * code_less<0>(s);
    min = half_bits(head.x >> 16) * code_less<0>(m);
  }
};

template <>
struct Decoder<DType::q4_k> : Unit<32, 1, true> {
  __device__ Decoder(RowAt row, unsigned u) {
    const unsigned j = u % 8;
    const Bytes block = row.front + 144 * std::size_t{u / 8};
    const SubScales sub(block, j);
#pragma unroll
    for (unsigned h = 0; h < 2; ++h)
      each_byte(block + 16 + 32 * (j / 2) + 16 * h,
                [&](unsigned byte, unsigned i) { code[16 * h + i] = code_less<0>(byte >> (4 * (j % 2)) & 15u); });
    scale[0] = sub.scale, min[0] = sub.min;
  }
};

template <>
struct Decoder<DType::q5_k> : Unit<32, 1, true> {
  __device__ Decoder(RowAt row, unsigned u) {
    const unsigned j = u % 8;
    const Bytes block = row.front + 176 * std::size_t{u / 8};
    const SubScales sub(block, j);
#pragma unroll
    for (unsigned h = 0; h < 2; ++h) {
      each_byte(block + 48 + 32 * (j / 2) + 16 * h,
                [&](unsigned byte, unsigned i) { code[16 * h + i] = __uint_as_float(byte >> (4 * (j % 2)) & 15u); });
      each_byte(block + 16 + 16 * h, [&](unsigned byte, unsigned i) {
        code[16 * h + i] = code_less<0>(__float_as_uint(code[16 * h + i]) | (byte >> j & 1u) << 4);
      });
    }
    scale[0] = sub.scale, min[0] = sub.min;
  }
};

template <>
struct Decoder<DType::q6_k> : Unit<32, 2, false> {
  __device__ Decoder(RowAt row, unsigned u) {
    const unsigned half = u % 8 / 4, quarter = u % 4;
    const Bytes block = row.front + 208 * std::size_t{u / 8};
    const float d = load_half(row.rest + 2 * std::size_t{u / 8});
#pragma unroll
    for (unsigned h = 0; h < 2; ++h) {
      each_byte(block + 64 * half + 32 * (quarter % 2) + 16 * h, [&](unsigned byte, unsigned i) {
        code[16 * h + i] = __uint_as_float(byte >> (4 * (quarter / 2)) & 15u);
      });
      each_byte(block + 128 + 32 * half + 16 * h, [&](unsigned byte, unsigned i) {
        code[16 * h + i] = code_less<32>(__float_as_uint(code[16 * h + i]) | (byte >> (2 * quarter) & 3u) << 4);
      });
      scale[h] = d * code_less<128>(block[192 + u % 8 * 2 + h] ^ 128u);
    }
  }
};

}  // namespace carat::cuda
