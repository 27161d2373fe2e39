// From real numbers to codes: the roundings that the encoders share. Those that units built for one instruction set
// use are always inlined, so that none leaves a copy behind that the linker might give to another.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace carat {

// `x` within [low, high]; NaN gives `low`. So the cast to an integer that follows is always defined.
constexpr float bounded(float x, float low, float high) noexcept { return x > low ? (x < high ? x : high) : low; }

// The nearest integer within [low, high], ties to even. Right for |x| < 2^22; beyond, and for NaN, some integer of that
// range: adding 1.5 * 2^23 leaves the integer in the low 23 bits of the sum.
[[gnu::always_inline]] constexpr int nearest_code(float x, int low, int high) noexcept {
  const auto bits = __builtin_bit_cast(std::int32_t, x + 0x1.8p23f);
  const int code = (bits & 0x7FFFFF) - 0x400000;
  return code < low ? low : (code > high ? high : code);
}

// The reciprocal of a scale, 0 for a scale of 0.
constexpr float inverse(float scale) noexcept { return scale != 0 ? 1 / scale : 0; }

// The element of largest magnitude, with its sign: the first of equals, 0 if all are 0.
inline float extreme(const float* x, std::size_t n) noexcept {
  float found = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (std::abs(x[i]) > std::abs(found)) found = x[i];
  return found;
}

struct Extent {
  float min;
  float max;
};

// The least and the greatest element. NaN is passed over; without any number the greatest is below the least.
inline Extent extent(const float* x, std::size_t n) noexcept {
  Extent found{std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()};
  for (std::size_t i = 0; i < n; ++i) {
    if (x[i] < found.min) found.min = x[i];
    if (x[i] > found.max) found.max = x[i];
  }
  return found;
}

}  // namespace carat
