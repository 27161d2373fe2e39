// Half precision and bfloat16: every value there is, and every tie between two.
#include "kernels/half.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "test/support/catch.h"

using carat::bf16_from_float;
using carat::bf16_to_float;
using carat::half_from_float;
using carat::half_to_float;

namespace {

using Narrow = std::uint16_t (*)(float);
using Widen = float (*)(std::uint16_t);

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// How many codes c from 0 up to `last` fail: between c and c + 1, the middle must go to the even one, and its
// neighbours to the nearer one; alike below zero.
int misrounded(Narrow narrow, Widen widen, unsigned last) {
  int failures = 0;
  for (unsigned code = 0; code < last; ++code) {
    const auto below = static_cast<std::uint16_t>(code);
    const auto above = static_cast<std::uint16_t>(code + 1);
    const std::uint16_t even = code % 2 == 0 ? below : above;
    const auto middle = static_cast<float>((static_cast<double>(widen(below)) + static_cast<double>(widen(above))) / 2);
    const auto check = [&](float value, std::uint16_t expected) {
      if (narrow(value) != expected) ++failures;
      if (narrow(-value) != (expected | 0x8000)) ++failures;
    };
    check(middle, even);
    check(std::nextafter(middle, 0.0f), below);
    check(std::nextafter(middle, kInfinity), above);
  }
  return failures;
}

}  // namespace

TEST_CASE("half: each of the 65536 survives the way to float and back, signalling NaN as quiet NaN", "[half]") {
  int changed = 0;
  for (unsigned code = 0; code <= 0xFFFF; ++code) {
    const bool is_nan = (code & 0x7C00) == 0x7C00 && (code & 0x3FF) != 0;
    const unsigned expected = is_nan ? code | 0x200 : code;
    if (half_from_float(half_to_float(static_cast<std::uint16_t>(code))) != expected) ++changed;
  }
  CHECK(changed == 0);
}

TEST_CASE("half: known values", "[half]") {
  CHECK(half_to_float(0x3C00) == 1.0f);
  CHECK(half_to_float(0xC000) == -2.0f);
  CHECK(half_to_float(0x0001) == 0x1p-24f);
  CHECK(half_to_float(0x03FF) == 1023 * 0x1p-24f);
  CHECK(half_to_float(0x0400) == 0x1p-14f);
  CHECK(half_to_float(0x7BFF) == 65504.0f);
  CHECK(half_to_float(0xFC00) == -kInfinity);
  CHECK(std::signbit(half_to_float(0x8000)));
  CHECK(half_from_float(1.0f / 3) == 0x3555);
}

TEST_CASE("half: ties go to the even neighbour, all else to the nearer one", "[half]") {
  CHECK(misrounded(half_from_float, half_to_float, 0x7BFF) == 0);
}

TEST_CASE("half: values beyond the largest become infinity, NaN stays NaN", "[half]") {
  CHECK(half_from_float(std::nextafter(65520.0f, 0.0f)) == 0x7BFF);
  CHECK(half_from_float(65520.0f) == 0x7C00);
  CHECK(half_from_float(-std::numeric_limits<float>::max()) == 0xFC00);
  CHECK(half_from_float(kInfinity) == 0x7C00);
  CHECK(half_from_float(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(std::isnan(half_to_float(half_from_float(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isnan(half_to_float(half_from_float(__builtin_bit_cast(float, 0x7F800001u)))));
}

TEST_CASE("bf16: each of the 65536 survives the way to float and back, signalling NaN as quiet NaN", "[half]") {
  int changed = 0;
  for (unsigned code = 0; code <= 0xFFFF; ++code) {
    const bool is_nan = (code & 0x7F80) == 0x7F80 && (code & 0x7F) != 0;
    const unsigned expected = is_nan ? code | 0x40 : code;
    if (bf16_from_float(bf16_to_float(static_cast<std::uint16_t>(code))) != expected) ++changed;
  }
  CHECK(changed == 0);
}

TEST_CASE("bf16: ties go to the even neighbour, all else to the nearer one", "[half]") {
  CHECK(misrounded(bf16_from_float, bf16_to_float, 0x7F7F) == 0);
}

TEST_CASE("bf16: values beyond the largest become infinity, NaN stays NaN", "[half]") {
  CHECK(bf16_from_float(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(bf16_from_float(-kInfinity) == 0xFF80);
  CHECK(std::isnan(bf16_to_float(bf16_from_float(__builtin_bit_cast(float, 0x7F800001u)))));
}
