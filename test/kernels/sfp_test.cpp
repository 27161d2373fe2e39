// sfp: its 256 codes against the document's table, and the rounding of its encoder against the document's rules.
#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/half.h"
#include "kernels/quant/codecs.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"

using namespace carat;

namespace {

// formats/ lies beside fixtures/.
std::vector<std::vector<std::string>> code_table() {
  std::ifstream in(test::fixtures().parent_path() / "formats" / "sfp_decode.csv");
  std::vector<std::vector<std::string>> rows;
  std::string line;
  for (std::getline(in, line); std::getline(in, line);) {
    std::istringstream cells(line);
    std::vector<std::string>& row = rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
  }
  return rows;
}

// The document's encoder, step by step (sbs.md, 8.2).
std::uint8_t encode_as_written(float x) {
  const auto bf16 = static_cast<std::uint16_t>(__builtin_bit_cast(std::uint32_t, x) >> 16);
  const int sign = bf16 >> 15 << 7;
  int exponent = (bf16 >> 7 & 255) - 127;
  const int m6 = (bf16 & 127) >> 1;
  if ((bf16 >> 7 & 255) == 0) return 0;
  const bool large = exponent > -8 || (exponent == -8 && m6 >= 0x3C);
  const int bits = large ? 3 : 2;
  int mantissa = static_cast<int>(std::nearbyint(std::ldexp(m6, bits - 6)));  // ties to even
  if (mantissa == 1 << bits) {
    mantissa = 0;
    ++exponent;
  }
  if (exponent < -23) return 0;
  if (exponent == -23 && mantissa == 0) mantissa = 1;
  const int code = exponent >= -7 ? (exponent + 15) << 3 | (large ? mantissa : 0) : (exponent + 23) << 2 | mantissa;
  return static_cast<std::uint8_t>(code | sign);
}

}  // namespace

TEST_CASE("sfp: each of the 256 codes is the number of the document's table", "[sfp][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto rows = code_table();
  REQUIRE(rows.size() == 256);
  for (std::size_t code = 0; code < 256; ++code) {
    INFO("code " << code);
    REQUIRE(std::stoul(rows[code][0]) == code);
    const float value = sfp_to_float(static_cast<std::uint8_t>(code));
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    CHECK(bits == std::stoul(rows[code][3], nullptr, 16));
    CHECK(bits >> 16 == std::stoul(rows[code][2], nullptr, 16));
    CHECK(bf16_to_float(bf16_from_float(value)) == value);
  }
}

TEST_CASE("sfp: a value that has a code keeps it", "[sfp]") {
  for (unsigned code = 0; code < 256; ++code) {
    if (code == 0x80) continue;  // reserved
    INFO("code " << code);
    CHECK(sfp_from_float(sfp_to_float(static_cast<std::uint8_t>(code))) == code);
  }
  CHECK(sfp_from_float(-0.0f) == 0);
  CHECK(std::signbit(sfp_to_float(0x80)));
}

TEST_CASE("sfp: the document's check values", "[sfp]") {
  const float p24 = 0x1p-24f;
  const std::array<std::pair<float, float>, 20> checks = {{{0.484375f, 0.5f},
                                                           {0.96875f, 1.0f},
                                                           {0.296875f, 0.3125f},
                                                           {0.59375f, 0.625f},
                                                           {0.265625f, 0.25f},
                                                           {0.53125f, 0.5f},
                                                           {0.279296875f, 0.28125f},
                                                           {0.0068359375f, 0.0068359375f},
                                                           {0.00732421875f, 0.0078125f},
                                                           {0.007568359375f, 0.0078125f},
                                                           {1.0625f, 1.0f},
                                                           {0x1p-22f, 0x1p-22f},
                                                           {1.25f * 0x1p-23f, 1.25f * 0x1p-23f},
                                                           {0x1p-23f, 1.25f * 0x1p-23f},
                                                           {p24, 0},
                                                           {1.5f * p24, 0},
                                                           {1.875f * p24, 1.25f * 0x1p-23f},
                                                           {0.013841f, 0.013671875f},
                                                           {1.9375f, kSfpMax},
                                                           {1e30f, kSfpMax}}};
  for (const auto& [input, output] : checks) {
    INFO(input);
    CHECK(sfp_to_float(sfp_from_float(input)) == output);
    CHECK(sfp_to_float(sfp_from_float(-input)) == -output);
  }
}

TEST_CASE("sfp: halfway between two codes, the one with an even mantissa is taken", "[sfp]") {
  for (unsigned code = 2; code < 127; ++code) {
    const float low = sfp_to_float(static_cast<std::uint8_t>(code));
    const float high = sfp_to_float(static_cast<std::uint8_t>(code + 1));
    const float middle = (low + high) / 2;
    INFO("between codes " << code << " and " << code + 1);
    const unsigned even = code % 2 == 0 ? code : code + 1;
    CHECK(sfp_from_float(middle) == (code == 63 ? 64 : even));
    CHECK(sfp_from_float(-middle) == (128 | (code == 63 ? 64 : even)));
    CHECK(sfp_from_float(low + (high - low) * 0.375f) == code);
    CHECK(sfp_from_float(low + (high - low) * 0.625f) == code + 1);
  }
}

TEST_CASE("sfp: every bf16 and a million floats are rounded as the document says", "[sfp]") {
  const auto agrees = [](float x) { return !(std::abs(x) < 1.9375f) || sfp_from_float(x) == encode_as_written(x); };
  std::size_t wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) wrong += !agrees(bf16_to_float(static_cast<std::uint16_t>(bits)));
  std::mt19937 random(3);
  for (int i = 0; i < 1000000; ++i) {
    wrong += !agrees(__builtin_bit_cast(float, static_cast<std::uint32_t>(random())));
    wrong += !agrees(std::ldexp(static_cast<float>(random()), -static_cast<int>(32 + random() % 26)));
  }
  CHECK(wrong == 0);
  CHECK(sfp_from_float(std::numeric_limits<float>::quiet_NaN()) % 128 == 127);
  CHECK(sfp_from_float(-std::numeric_limits<float>::infinity()) == 255);
}

TEST_CASE("sfp: all codes in one row are unpacked alike on every instruction set", "[sfp][isa]") {
  const std::string isa(GENERATE(from_range(usable_isas())));
  const auto backend = make_cpu_backend({1, isa});
  std::vector<std::uint8_t> codes(3 * 256);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i);
  const Tensor table{DType::sfp, 3, 256, codes.data(), 0.5f};
  const Tensor out = backend->make(DType::f32, 1, 256);
  const TokenId id = 2;
  backend->embed(out, table, {&id, 1}, 3);
  std::vector<float> found(256);
  backend->read(found, out);
  for (std::size_t i = 0; i < 256; ++i) {
    INFO(isa << " code " << i);
    CHECK(found[i] == 1.5f * sfp_to_float(static_cast<std::uint8_t>(i)));
  }
}

TEST_CASE("a weight's scale multiplies its products, for one token and for many, on every instruction set",
          "[sfp][isa]") {
  const std::string isa(GENERATE(from_range(usable_isas())));
  const auto backend = make_cpu_backend({2, isa});
  const std::size_t tokens = GENERATE(1, 3, 4, 40), rows = 70, cols = 64;
  const std::size_t few = GENERATE(0, 1, 17, 100);
  std::mt19937 random(5);
  std::vector<std::uint8_t> codes(rows * cols);
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random() % 255 | 1);
  const Tensor w{DType::sfp, rows, cols, codes.data()};
  Tensor scaled = w;
  scaled.scale = 4;
  const Tensor x = backend->make(DType::f32, tokens, cols);
  for (std::size_t i = 0; i < tokens * cols; ++i) static_cast<float*>(x.where)[i] = static_cast<float>(i % 7) - 3;
  const Tensor plain = backend->make(DType::f32, tokens, rows), fourfold = backend->make(DType::f32, tokens, rows);
  backend->matmul(x, std::min(few, tokens), {{plain, w}, {fourfold, row_view(scaled, 0, rows)}});
  std::vector<float> found(tokens * rows), expected(tokens * rows);
  backend->read(found, fourfold);
  backend->read(expected, plain);
  for (float& value : expected) value *= 4;
  CHECK(found == expected);
}
