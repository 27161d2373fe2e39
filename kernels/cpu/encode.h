// Encoders of the float types and of the blocks of 32, over any instruction set. The bytes are those of the codecs in
// kernels/quant, for numbers that are finite; what the steps are for is said there.
#pragma once
#include "kernels/blocks.h"
#include "kernels/cpu/encode_ops_x86.h"
#include "kernels/cpu/table.h"

namespace carat::cpu {

// 32 floats in registers.
template <class Isa>
struct Floats32 {
  using Part = vec<float, Isa>;
  static constexpr std::size_t kParts = 32 / Part::size;
  Part part[kParts];

  explicit Floats32(const float* x) noexcept {
    for (std::size_t i = 0; i < kParts; ++i) part[i] = Part::load_unaligned(x + i * Part::size);
  }
  float max() const noexcept {
    Part all = part[0];
    for (std::size_t i = 1; i < kParts; ++i) all = xsimd::max(all, part[i]);
    return largest_lane(all);
  }
  float min() const noexcept {
    Part all = part[0];
    for (std::size_t i = 1; i < kParts; ++i) all = xsimd::min(all, part[i]);
    return -largest_lane(-all);
  }

  // f(register) gives int32 within a byte.
  template <class F>
  void store_codes(std::uint8_t* codes, F f) const noexcept {
    for (std::size_t i = 0; i < kParts; ++i) store_bytes(f(part[i]), codes + i * Part::size);
  }
};

// The element of largest magnitude, with its sign: the first of equals. Registers know no order, which matters only
// where both signs have it.
template <class Isa>
inline float extreme_of_32(const float* x, const Floats32<Isa>& in) noexcept {
  const float max = in.max(), min = in.min();
  if (max != -min) return max > -min ? max : min;
  if (max == 0) return 0;
  for (std::size_t i = 0;; ++i)
    if (x[i] == max || x[i] == min) return x[i];
}

// The least element; of zeros the first, for its sign is stored.
template <class Isa>
inline float least_of_32(const float* x, const Floats32<Isa>& in) noexcept {
  const float min = in.min();
  if (min != 0) return min;
  for (std::size_t i = 0;; ++i)
    if (x[i] == 0) return x[i];
}

// To the integer below for x ≥ 0, within 0 … top.
template <class Isa>
inline vec<std::int32_t, Isa> bounded_code(vec<float, Isa> x, float top) noexcept {
  using Floats = vec<float, Isa>;
  return xsimd::to_int(xsimd::min(xsimd::max(x, Floats(0.0f)), Floats(top)));
}

// Codes 0 … 2 * half - 1 about the middle, under the scale that makes the extreme value code 0.
template <class Isa>
[[gnu::always_inline]] inline std::uint16_t encode_symmetric(const float* x, float half, std::uint8_t* codes) noexcept {
  using Floats = vec<float, Isa>;
  const Floats32<Isa> in(x);
  const float d = extreme_of_32(x, in) / -half;
  const Floats id(d != 0 ? 1 / d : 0.0f), shift(half + 0.5f);
  in.store_codes(codes, [&](Floats v) { return bounded_code<Isa>(v * id + shift, 2 * half - 1); });
  return half_of<Isa>(d);
}

struct ScaleAndMin {
  std::uint16_t d, m;  // halves
};

// Codes 0 … top between the least and the greatest value.
template <class Isa>
[[gnu::always_inline]] inline ScaleAndMin encode_affine(const float* x, float top, std::uint8_t* codes) noexcept {
  using Floats = vec<float, Isa>;
  const Floats32<Isa> in(x);
  const float min = least_of_32(x, in);
  const float d = (in.max() - min + 0.0f) / top;  // + 0: -0 - 0 would be -0, and show in the bytes
  const Floats id(d != 0 ? 1 / d : 0.0f), least(min);
  in.store_codes(codes, [&](Floats v) { return bounded_code<Isa>((v - least) * id + Floats(0.5f), top); });
  return {half_of<Isa>(d), half_of<Isa>(min)};
}

template <class Isa>
inline void encode(const float* x, BlockQ4_0& block) noexcept {
  std::uint8_t codes[kBlock];
  block.d = encode_symmetric<Isa>(x, 8, codes);
  store_nibbles<Isa>(codes, block.qs);
}

template <class Isa>
inline void encode(const float* x, BlockQ4_1& block) noexcept {
  std::uint8_t codes[kBlock];
  const ScaleAndMin scale = encode_affine<Isa>(x, 15, codes);
  block.d = scale.d;
  block.m = scale.m;
  store_nibbles<Isa>(codes, block.qs);
}

template <class Isa>
inline void encode(const float* x, BlockQ5_0& block) noexcept {
  std::uint8_t codes[kBlock];
  block.d = encode_symmetric<Isa>(x, 16, codes);
  store_fifth_bits<Isa>(codes, block.qh);
  store_nibbles<Isa>(codes, block.qs);
}

template <class Isa>
inline void encode(const float* x, BlockQ5_1& block) noexcept {
  std::uint8_t codes[kBlock];
  const ScaleAndMin scale = encode_affine<Isa>(x, 31, codes);
  block.d = scale.d;
  block.m = scale.m;
  store_fifth_bits<Isa>(codes, block.qh);
  store_nibbles<Isa>(codes, block.qs);
}

// Ties round away from zero. The number below a half, added, rounds as a half would where the sum is exact, and does
// not carry 0.49999997 over to 1.
template <class Isa>
inline void encode(const float* x, BlockQ8_0& block) noexcept {
  using Floats = vec<float, Isa>;
  constexpr float kAlmostHalf = 0x1.fffffep-2f;
  const Floats32<Isa> in(x);
  const float max = in.max(), min = in.min();
  const float d = __builtin_fabsf(max > -min ? max : min) / 127;
  const Floats id(d != 0 ? 1 / d : 0.0f);
  block.d = half_of<Isa>(d);
  in.store_codes(reinterpret_cast<std::uint8_t*>(block.qs), [&](Floats v) {
    const Floats scaled = xsimd::min(xsimd::max(v * id, Floats(-127.0f)), Floats(127.0f));
    return xsimd::to_int(scaled + xsimd::select(scaled < Floats(0.0f), Floats(-kAlmostHalf), Floats(kAlmostHalf)));
  });
}

template <class Isa, class Block>
inline void encode_small_blocks(const float* x, std::byte* to, std::size_t n) noexcept {
  auto* blocks = reinterpret_cast<Block*>(to);
  for (std::size_t i = 0; i < n / kBlock; ++i) encode<Isa>(x + i * kBlock, blocks[i]);
}

template <class Isa>
inline void encode_f32(const float* x, std::byte* to, std::size_t n) noexcept {
  __builtin_memcpy(to, x, n * sizeof(float));
}

template <class Isa>
inline void encode_f16(const float* x, std::byte* to, std::size_t n) noexcept {
  using Floats = vec<float, Isa>;
  auto* halves = reinterpret_cast<std::uint16_t*>(to);
  std::size_t i = 0;
  for (; i + Floats::size <= n; i += Floats::size) store_half(Floats::load_unaligned(x + i), halves + i);
  for (; i < n; ++i) halves[i] = half_of<Isa>(x[i]);
}

template <class Isa>
inline void encode_bf16(const float* x, std::byte* to, std::size_t n) noexcept {
  auto* out = reinterpret_cast<std::uint16_t*>(to);
  for (std::size_t i = 0; i < n; ++i) out[i] = bf16_from_float(x[i]);
}

// sfp_from_float() of each lane.
template <class Isa>
inline vec<std::int32_t, Isa> sfp_codes(vec<float, Isa> x) noexcept {
  using Ints = vec<std::int32_t, Isa>;
  const Ints bits = bits_of(x);
  const Ints magnitude = (bits >> 17) & Ints(0x3FFF);  // biased exponent, six bits of mantissa
  const auto rounded = [&](int dropped) {
    return (magnitude + Ints((1 << (dropped - 1)) - 1) + ((magnitude >> dropped) & Ints(1))) >> dropped;
  };
  constexpr int kFirstLarge = (127 - 7) << 3, kFirstSmall = (127 - 23) << 2;
  const Ints large = xsimd::min(rounded(3) - Ints(kFirstLarge - 64), Ints(127));
  const Ints below = rounded(4) - Ints(kFirstSmall);
  const Ints small = xsimd::select(below < Ints(0), Ints(0), xsimd::max(below, Ints(1)));
  const Ints code = xsimd::select(magnitude >= Ints((127 - 8) << 6 | 0x3C), large, small);
  return code | xsimd::select(code == Ints(0), Ints(0), (bits >> 24) & Ints(128));
}

template <class Isa>
inline void encode_sfp(const float* x, std::byte* to, std::size_t n) noexcept {
  using Floats = vec<float, Isa>;
  auto* codes = reinterpret_cast<std::uint8_t*>(to);
  std::size_t i = 0;
  for (; i + Floats::size <= n; i += Floats::size)
    store_bytes(sfp_codes<Isa>(Floats::load_unaligned(x + i)), codes + i);
  if (i == n) return;
  float rest[Floats::size] = {};
  std::uint8_t rest_codes[Floats::size];
  __builtin_memcpy(rest, x + i, (n - i) * sizeof(float));
  store_bytes(sfp_codes<Isa>(Floats::load_unaligned(rest)), rest_codes);
  __builtin_memcpy(codes + i, rest_codes, n - i);
}

template <class Isa>
inline Difference compare(const float* x, const float* y, std::size_t n) noexcept {
  using Floats = vec<float, Isa>;
  Floats squares(0.0f), misses(0.0f), worst(0.0f);
  const auto add = [&](Floats a, Floats b) {
    const Floats miss = a - b;
    squares = squares + a * a;
    misses = misses + miss * miss;
    worst = xsimd::max(worst, xsimd::abs(miss));
  };
  std::size_t i = 0;
  for (; i + Floats::size <= n; i += Floats::size) add(Floats::load_unaligned(x + i), Floats::load_unaligned(y + i));
  if (i < n) {
    float a[Floats::size] = {}, b[Floats::size] = {};
    for (std::size_t j = i; j < n; ++j) a[j - i] = x[j], b[j - i] = y[j];
    add(Floats::load_unaligned(a), Floats::load_unaligned(b));
  }
  return {sum_of(squares), sum_of(misses), largest_lane(worst)};
}

}  // namespace carat::cpu
