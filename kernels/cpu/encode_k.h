// Encoders of q4_k, q5_k and q6_k, over any instruction set. The bytes are those of the codecs in kernels/quant, for
// numbers that are finite. The sums of a fit run in index order, so it is sub-blocks that stand side by side, one to a
// lane: each lane does what the codec does, operation by operation, without fused multiply-add.
#pragma once
#include "kernels/cpu/encode.h"
#include "kernels/quant/rounding.h"

namespace carat::cpu {

template <class Isa>
inline constexpr std::size_t kLanes = vec<float, Isa>::size;

// Element i of every lane's sub-block is row i.
template <class Isa, std::size_t length>
struct alignas(64) Lanes {
  float at[length][kLanes<Isa>];

  vec<float, Isa> row(std::size_t i) const noexcept { return vec<float, Isa>::load_aligned(at[i]); }
  void set(std::size_t i, vec<float, Isa> x) noexcept { x.store_aligned(at[i]); }

  // Lane s is the sub-block that starts at x + s * length; `count` of them, the others zeros.
  void gather(const float* x, std::size_t count) noexcept {
    for (std::size_t s = 0; s < kLanes<Isa>; ++s)
      for (std::size_t i = 0; i < length; ++i) at[i][s] = s < count ? x[s * length + i] : 0;
  }
  // The other way, as bytes.
  void scatter(std::uint8_t* codes, std::size_t count) const noexcept {
    for (std::size_t s = 0; s < count; ++s)
      for (std::size_t i = 0; i < length; ++i) codes[s * length + i] = static_cast<std::uint8_t>(at[i][s]);
  }
};

// nearest_code() of each lane, as a float.
template <class Isa>
inline vec<float, Isa> nearest(vec<float, Isa> x, int low, int high) noexcept {
  using Floats = vec<float, Isa>;
  using Ints = vec<std::int32_t, Isa>;
  const Ints bits = bits_of(x + Floats(0x1.8p23f));
  const Ints code = (bits & Ints(0x7FFFFF)) - Ints(0x400000);
  return xsimd::to_float(xsimd::min(xsimd::max(code, Ints(low)), Ints(high)));
}

// fit_affine() of each lane.
template <class Isa>
struct AffineLanes {
  using Floats = vec<float, Isa>;

  struct Search {
    int top;
    float first;  // (top + first) codes are the first scale tried
    int steps;
  };

  Lanes<Isa, 32> x, weights, tried;
  Floats scale, min;  // of the best fit; min ≤ 0

  void weigh_above_rms() noexcept {
    Floats sum(0.0f);
    for (std::size_t i = 0; i < 32; ++i) sum = sum + x.row(i) * x.row(i);
    const Floats rms = xsimd::sqrt(sum / Floats(32.0f));
    for (std::size_t i = 0; i < 32; ++i) weights.set(i, rms + xsimd::abs(x.row(i)));
  }

  void round_to_codes(Floats codes_per_unit, Floats least, int top) noexcept {
    for (std::size_t i = 0; i < 32; ++i) tried.set(i, nearest<Isa>(codes_per_unit * (x.row(i) - least), 0, top));
  }

  Floats error_of(Floats by, Floats offset) const noexcept {
    Floats sum(0.0f);
    for (std::size_t i = 0; i < 32; ++i) {
      const Floats miss = by * tried.row(i) + offset - x.row(i);
      sum = sum + weights.row(i) * (miss * miss);
    }
    return sum;
  }

  // Leaves the codes of the best fit in `tried`.
  void fit(const Search& search) noexcept {
    const Floats zero(0.0f), range(static_cast<float>(search.top));
    Floats max = x.row(0), sum_w = zero, sum_x = zero;
    min = x.row(0);
    for (std::size_t i = 0; i < 32; ++i) {
      const Floats v = x.row(i), w = weights.row(i);
      min = xsimd::select(v < min, v, min);
      max = xsimd::select(v > max, v, max);
      sum_w = sum_w + w;
      sum_x = sum_x + w * v;
    }
    min = xsimd::select(min > zero, zero, min);
    const auto flat = max == min;
    const Floats flat_min = min;

    Floats best_step = range / (max - min), best_least = min;  // what the codes of the best fit come from
    scale = Floats(1.0f) / best_step;
    round_to_codes(best_step, min, search.top);
    Floats least_error = error_of(scale, min);
    for (int step = 0; step <= search.steps; ++step) {
      const Floats codes_per_unit =
          Floats(search.first + 0.1f * static_cast<float>(step) + static_cast<float>(search.top)) / (max - min);
      round_to_codes(codes_per_unit, min, search.top);
      const Line line = least_squares(sum_w, sum_x);
      const Floats error = error_of(line.scale, line.offset);
      const auto better = line.found & (error < least_error);
      best_step = xsimd::select(better, codes_per_unit, best_step);
      best_least = xsimd::select(better, min, best_least);
      least_error = xsimd::select(better, error, least_error);
      scale = xsimd::select(better, line.scale, scale);
      min = xsimd::select(better, line.offset, min);
    }
    round_to_codes(best_step, best_least, search.top);
    for (std::size_t i = 0; i < 32; ++i) tried.set(i, xsimd::select(flat, zero, tried.row(i)));
    scale = xsimd::select(flat, zero, scale);
    min = xsimd::select(flat, flat_min, min);
  }

  // Rounds the values anew under scales and minima as a reader sees them; where the scale is 0 the fit's codes stay.
  void round_again(const float* scales, const float* mins, int top) noexcept {
    const Floats by = Floats::load_unaligned(scales), least = Floats::load_unaligned(mins);
    const auto none = by == Floats(0.0f);
    for (std::size_t i = 0; i < 32; ++i)
      tried.set(i, xsimd::select(none, tried.row(i), nearest<Isa>((x.row(i) + least) / by, 0, top)));
  }

 private:
  struct Line {
    Floats scale, offset;
    xsimd::batch_bool<float, typename Isa::wide> found;
  };

  Line least_squares(Floats sum_w, Floats sum_x) const noexcept {
    const Floats zero(0.0f);
    Floats sum_l = zero, sum_l2 = zero, sum_xl = zero;
    for (std::size_t i = 0; i < 32; ++i) {
      const Floats code = tried.row(i);
      const Floats wl = weights.row(i) * code;
      sum_l = sum_l + wl;
      sum_l2 = sum_l2 + wl * code;
      sum_xl = sum_xl + wl * x.row(i);
    }
    const Floats determinant = sum_w * sum_l2 - sum_l * sum_l;
    const Floats offset = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    const Floats by = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    const auto above = offset > zero;
    return {xsimd::select(above, sum_xl / sum_l2, by), xsimd::select(above, zero, offset), determinant > zero};
  }
};

// encode_scales() of eight sub-blocks: their codes, and in `scales` what a reader makes of them. Returns d.
template <class Isa>
[[gnu::always_inline]] inline std::uint16_t encode_eight_scales(float* scales, std::uint8_t* codes) noexcept {
  float max = 0;
  for (std::size_t j = 0; j < 8; ++j)
    if (scales[j] > max) max = scales[j];
  const float codes_per_unit = max > 0 ? 63 / max : 0;
  const std::uint16_t d = half_of<Isa>(max / 63);
  for (std::size_t j = 0; j < 8; ++j) {
    codes[j] = static_cast<std::uint8_t>(nearest_code(codes_per_unit * scales[j], 0, 63));
    scales[j] = half_value<Isa>(d) * codes[j];
  }
  return d;
}

template <class Isa>
inline void store_codes(const std::uint8_t* codes, BlockQ4_K& block) noexcept {
  for (std::size_t i = 0; i < 128; i += 32) {
    for (std::size_t h = 0; h < 32; h += 16) {
      std::uint8_t pair[32];
      __builtin_memcpy(pair, codes + 2 * i + h, 16);
      __builtin_memcpy(pair + 16, codes + 2 * i + 32 + h, 16);
      store_nibbles<Isa>(pair, block.qs + i + h);
    }
  }
}

template <class Isa>
inline void store_codes(const std::uint8_t* codes, BlockQ5_K& block) noexcept {
  BlockQ4_K low;
  store_codes<Isa>(codes, low);
  __builtin_memcpy(block.qs, low.qs, sizeof low.qs);
  for (std::size_t i = 0; i < 32; ++i) {
    unsigned bits = 0;
    for (std::size_t j = 0; j < 8; ++j) bits |= static_cast<unsigned>(codes[32 * j + i] >> 4) << j;
    block.qh[i] = static_cast<std::uint8_t>(bits);
  }
}

// As pack_sub_scales().
template <class Isa>
inline void store_sub_scales(const std::uint8_t* scales, const std::uint8_t* mins, std::uint8_t (&b)[12]) noexcept {
  for (std::size_t j = 0; j < 4; ++j) {
    b[j] = static_cast<std::uint8_t>(scales[j] | scales[j + 4] >> 4 << 6);
    b[j + 4] = static_cast<std::uint8_t>(mins[j] | mins[j + 4] >> 4 << 6);
    b[j + 8] = static_cast<std::uint8_t>((scales[j + 4] & 15) | (mins[j + 4] & 15) << 4);
  }
}

// `count` blocks of q4_k or q5_k, of eight sub-blocks each, as many at a time as fill the lanes.
template <class Isa, class Block>
inline void encode_affine_blocks(const float* x, Block* blocks, std::size_t count,
                                 const typename AffineLanes<Isa>::Search& search) noexcept {
  constexpr std::size_t kGroups = kLanes<Isa> < 8 ? 8 / kLanes<Isa> : 1;    // of lanes to a block …
  constexpr std::size_t kTogether = kLanes<Isa> < 8 ? 1 : kLanes<Isa> / 8;  // … or blocks to a group
  AffineLanes<Isa> groups[kGroups];
  for (std::size_t b = 0; b < count; b += kTogether) {
    const std::size_t now = count - b < kTogether ? count - b : kTogether;
    const std::size_t lanes = kGroups > 1 ? kLanes<Isa> : 8 * now;
    alignas(64) float scales[8 * kTogether], mins[8 * kTogether];
    for (std::size_t g = 0; g < kGroups; ++g) {
      groups[g].x.gather(x + b * kSuperBlock + g * kLanes<Isa> * 32, lanes);
      groups[g].weigh_above_rms();
      groups[g].fit(search);
      groups[g].scale.store_unaligned(scales + g * kLanes<Isa>);
      (-groups[g].min).store_unaligned(mins + g * kLanes<Isa>);
    }
    for (std::size_t k = 0; k < now; ++k) {
      std::uint8_t scale_codes[8], min_codes[8];
      blocks[b + k].d = encode_eight_scales<Isa>(scales + 8 * k, scale_codes);
      blocks[b + k].dmin = encode_eight_scales<Isa>(mins + 8 * k, min_codes);
      store_sub_scales<Isa>(scale_codes, min_codes, blocks[b + k].scales);
    }
    std::uint8_t codes[kTogether * kSuperBlock];
    for (std::size_t g = 0; g < kGroups; ++g) {
      groups[g].round_again(scales + g * kLanes<Isa>, mins + g * kLanes<Isa>, search.top);
      groups[g].tried.scatter(codes + g * kLanes<Isa> * 32, lanes);
    }
    for (std::size_t k = 0; k < now; ++k) store_codes<Isa>(codes + k * kSuperBlock, blocks[b + k]);
  }
}

template <class Isa>
inline void encode_q4_k(const float* x, std::byte* to, std::size_t n) noexcept {
  encode_affine_blocks<Isa>(x, reinterpret_cast<BlockQ4_K*>(to), n / kSuperBlock, {15, -1.0f, 20});
}

template <class Isa>
inline void encode_q5_k(const float* x, std::byte* to, std::size_t n) noexcept {
  encode_affine_blocks<Isa>(x, reinterpret_cast<BlockQ5_K*>(to), n / kSuperBlock, {31, -0.5f, 15});
}

// fit_symmetric() of each lane.
template <class Isa>
struct SymmetricLanes {
  using Floats = vec<float, Isa>;

  Lanes<Isa, 16> x, codes;

  // Returns the scales; leaves the codes, 0 … 63.
  Floats fit() noexcept {
    const Floats zero(0.0f);
    Floats max = zero;
    for (std::size_t i = 0; i < 16; ++i) max = xsimd::select(xsimd::abs(x.row(i)) > xsimd::abs(max), x.row(i), max);
    const auto negligible = xsimd::abs(max) < Floats(1e-15f);

    Floats best_step = Floats(-32.0f) / max;
    Sums sums = sums_of(best_step);
    Floats scale = xsimd::select(sums.ll > zero, sums.xl / sums.ll, zero);
    Floats best = scale * sums.xl;
    for (int step = -9; step <= 9; ++step) {
      if (step == 0) continue;
      const Floats codes_per_unit = Floats(-(32 + 0.1f * static_cast<float>(step))) / max;
      sums = sums_of(codes_per_unit);
      const auto better = (sums.ll > zero) & (sums.xl * sums.xl > best * sums.ll);
      const Floats found = sums.xl / sums.ll;
      best_step = xsimd::select(better, codes_per_unit, best_step);
      scale = xsimd::select(better, found, scale);
      best = xsimd::select(better, found * sums.xl, best);
    }
    for (std::size_t i = 0; i < 16; ++i)
      codes.set(i, xsimd::select(negligible, zero, nearest<Isa>(best_step * x.row(i), -32, 31) + Floats(32.0f)));
    return xsimd::select(negligible, zero, scale);
  }

  // Rounds the values anew under scales as a reader sees them; where one is 0 the fit's codes stay.
  void round_again(const float* scales) noexcept {
    const Floats by = Floats::load_unaligned(scales);
    const auto none = by == Floats(0.0f);
    for (std::size_t i = 0; i < 16; ++i)
      codes.set(i, xsimd::select(none, codes.row(i), nearest<Isa>(x.row(i) / by, -32, 31) + Floats(32.0f)));
  }

 private:
  struct Sums {
    Floats xl, ll;
  };

  Sums sums_of(Floats codes_per_unit) const noexcept {
    Sums sums{Floats(0.0f), Floats(0.0f)};
    for (std::size_t i = 0; i < 16; ++i) {
      const Floats v = x.row(i), w = v * v;
      const Floats l = nearest<Isa>(codes_per_unit * v, -32, 31);
      sums.xl = sums.xl + w * v * l;
      sums.ll = sums.ll + w * l * l;
    }
    return sums;
  }
};

// Each half of 128 codes: two rows of 32 bytes with four bits of each, one with the two bits above.
template <class Isa>
inline void store_codes(const std::uint8_t* codes, BlockQ6_K& block) noexcept {
  for (std::size_t half = 0; half < 2; ++half) {
    const std::uint8_t* c = codes + 128 * half;
    for (std::size_t i = 0; i < 64; ++i)
      block.ql[64 * half + i] = static_cast<std::uint8_t>((c[i] & 15) | c[i + 64] << 4);
    for (std::size_t i = 0; i < 32; ++i)
      block.qh[32 * half + i] =
          static_cast<std::uint8_t>(c[i] >> 4 | c[i + 32] >> 4 << 2 | c[i + 64] >> 4 << 4 | c[i + 96] >> 4 << 6);
  }
}

template <class Isa>
inline void encode(const float* x, BlockQ6_K& block) noexcept {
  constexpr std::size_t kGroups = 16 / kLanes<Isa>;
  SymmetricLanes<Isa> groups[kGroups];
  alignas(64) float scales[16];
  for (std::size_t g = 0; g < kGroups; ++g) {
    groups[g].x.gather(x + g * kLanes<Isa> * 16, kLanes<Isa>);
    groups[g].fit().store_unaligned(scales + g * kLanes<Isa>);
  }
  float max = 0;
  for (const float scale : scales)
    if (__builtin_fabsf(scale) > __builtin_fabsf(max)) max = scale;
  block = {};
  if (__builtin_fabsf(max) < 1e-15f) return;
  const float codes_per_unit = -128 / max;
  block.d = half_of<Isa>(1 / codes_per_unit);
  for (std::size_t s = 0; s < 16; ++s) {
    block.scales[s] = static_cast<std::int8_t>(nearest_code(codes_per_unit * scales[s], -128, 127));
    scales[s] = half_value<Isa>(block.d) * static_cast<float>(block.scales[s]);
  }
  std::uint8_t codes[kSuperBlock];
  for (std::size_t g = 0; g < kGroups; ++g) {
    groups[g].round_again(scales + g * kLanes<Isa>);
    groups[g].codes.scatter(codes + g * kLanes<Isa> * 16, kLanes<Isa>);
  }
  store_codes<Isa>(codes, block);
}

template <class Isa>
inline void encode_q6_k(const float* x, std::byte* to, std::size_t n) noexcept {
  auto* blocks = reinterpret_cast<BlockQ6_K*>(to);
  for (std::size_t i = 0; i < n / kSuperBlock; ++i) encode<Isa>(x + i * kSuperBlock, blocks[i]);
}

}  // namespace carat::cpu
