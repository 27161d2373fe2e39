// Codecs against the reference implementation's files, golden rows, and hostile bytes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/quant/codecs.h"
#include "test/support/fixtures.h"

using namespace carat;

namespace {

using Floats = std::vector<float>;
using Bytes = std::vector<std::uint8_t>;  // of exactly the size it says, so that ASan sees overreads

Floats decode(DType type, const Bytes& row, std::size_t n) {
  Floats out(n);
  dequantize_row(type, row.data(), out.data(), n);
  return out;
}

Bytes encode(DType type, const Floats& x) {
  Bytes row(row_bytes(type, x.size()));
  quantize_row(type, x.data(), row.data(), x.size());
  return row;
}

// Bit for bit: tells -0 from 0.
bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// As numbers, where NaN equals NaN: which NaN an operation gives is the compiler's choice.
bool same_numbers(const Floats& a, const Floats& b) {
  return std::ranges::equal(a, b, [](float p, float q) { return p == q || (std::isnan(p) && std::isnan(q)); });
}

Floats noise(std::size_t n, float scale) {
  std::mt19937 random(7);
  Floats x(n);
  for (float& value : x) value = (static_cast<float>(random() >> 8) * 0x1p-23f - 1) * scale;
  return x;
}

double relative_rms_error(const Floats& x, const Floats& y) {
  double error = 0;
  double power = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += (static_cast<double>(x[i]) - static_cast<double>(y[i])) *
             (static_cast<double>(x[i]) - static_cast<double>(y[i]));
    power += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return std::sqrt(error / power);
}

// The reference's files of a type: "q4_K.bin", and decoded "q4_K.f32".
Bytes fixture(DType type, std::string_view ending) {
  std::string name(info(type).name);
  if (name.front() == 'q' && name.ends_with("_k")) name.back() = 'K';
  const std::vector<char> bytes = test::slurp(test::fixtures() / "quants" / name.append(ending));
  return {bytes.begin(), bytes.end()};
}

Floats to_floats(const Bytes& bytes) {
  Floats values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Floats fixture_input() {
  const std::vector<char> bytes = test::slurp(test::fixtures() / "quants" / "input.f32");
  return to_floats({bytes.begin(), bytes.end()});
}

}  // namespace

TEST_CASE("codecs: the reference's blocks decode to its values, bit for bit", "[codec][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  for (const DTypeInfo& row : kDTypes) {
    if (row.id == DType::f32 || !row.gguf) continue;
    INFO(row.name);
    const Floats expected = to_floats(fixture(row.id, ".f32"));
    CHECK(same_bits(decode(row.id, fixture(row.id, ".bin"), expected.size()), expected));
  }
}

TEST_CASE("codecs: the reference's input encodes to its bytes", "[codec][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const Floats input = fixture_input();
  for (const DTypeInfo& row : kDTypes) {
    if (row.id == DType::f32 || !row.gguf) continue;
    INFO(row.name);
    CHECK(encode(row.id, input) == fixture(row.id, ".bin"));
  }
}

namespace {

Floats input_a() {
  Floats x(32);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = (static_cast<float>(37 * i % 101) - 50) / 64;
  return x;
}

Floats input_b() {
  Floats x(256);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = (static_cast<float>(37 * i % 101) - 50) / 64;
  return x;
}

Floats input_c() {
  Floats x(256);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = (static_cast<float>(61 * i % 257) - 128) / 1024 * static_cast<float>(1 + i / 32);
  return x;
}

Floats input_zero() { return Floats(32); }

struct Golden {
  DType type;
  Floats (*input)();
  std::string_view hex;
};

// What the scalar quantisers of ggml write (August 2026, compiled without fused multiply-add).
const Golden kGoldens[] = {
    {DType::q4_0, input_a, "402ee046acf258bd1379df358be046acf268"},
    {DType::q4_1, input_a, "ab2e40bad0369bf257bd1369ce258ae0469cf258"},
    {DType::q5_0, input_a, "402aa4a52d6dc07c38f3bf6b26e2ae5a15d18d49f4c0"},
    {DType::q5_1, input_a, "742a40baa4a52d6db07b37e3af6a26d29d5905c18c48f4b0"},
    {DType::q8_0, input_a, "4d1e81df3d9af856b41270cd2b89e745a2005ebb1977d53390ee4caa0866c3217fdc"},
    {DType::q4_0, input_zero, "008088888888888888888888888888888888"},
    {DType::q8_0, input_zero, "00000000000000000000000000000000000000000000000000000000000000000000"},
    {DType::q2_k, input_b,
     "dedecddffedeffcedebcdeeedcefbeef68b1d66cb11b6c861bb1c66cb1d66cb21b6d861b71c628b1d76cb61b6d861bb11b7d"
     "862b71c62cb1db6c861b718628b1db6cb51b6c861ba1c66cb1db6cb61b6c01289d2a"},
    {DType::q2_k, input_c,
     "2222444455567888aa99abbcbeeffeef881d62768bdc21768bd82d7687d82d72b7c81d62b6cb1d61b68bdc61768bd82d2d62"
     "87c81d62b7c81d62b7cb1d61b6cbd8217687d82d6287d82d62b7d81d62b77928252b"},
    {DType::q4_k, input_b,
     "de162c22fefffffcfffdfefecfdcfffea0156bc1278cd3489e045ab0167bc2378de349ae056ab1267cd2389de459af15268c"
     "e248ad0459b0157bd1379ce348ae046ac0267bd2379df359be156ac1268c9df359be157ac1268ce248ad0459b0157bd1379c"
     "e348ae046ac0267bd2379df3156ac1268cd2489df459b0157bc1378ce348ae046ab0267bd2379de359ae156a"},
    {DType::q4_k, input_c,
     "1518df2388d0d8e08890d6e069f059ff90d4175b8fc3074a8eb2f6397db1e5296ca0e4285c9fd3174b8fc3064a7eb2f6c206"
     "4a8db1f5397db1e4286ca0e4275b9fd3175a8ec206497db1f5397ca0e428f5397db1e5286ca0d4175b9fd3174a8ec2064a7d"
     "b1f5397ca1e4286ca0d4175b286ca0e4285b9fd3175a8ec2064a8db2f5397db1e4286ca0e4175b9fd3174a8e"},
    {DType::q5_k, input_b,
     "8e125322fffdfdfdfffcfeffdfeffdcf326c9936cc9366c9b36499324c9926cc9366c9336c99364c9b66cdb366d9336c702b"
     "e7a35f1ad6824d09c5813cf8b46f2be7935e1ad6824d09c5703cf8a36f2b5e1ad5914d09c4803cf8b36f2be6a25e1ad5914d"
     "09c4703cf7b36f2be6a25e1a3be8b36e2be6925e19c5814c08b4703cf7a36f2ad6925d19c5814c08b4703be71bd7824e0ab5"
     "713de9a4602cd8935f1bc6824e0ab5713de9a4601cd7935f1bc6"},
    {DType::q5_k, input_c,
     "fc13df2388d0d8df88d0d6df680048ff6a5294ad2b5ad4a52b5ad6b5294ad2b5ad4a5295ad6b5294a52b5ad4a5294ad630b7"
     "2fa71e960d850d74fc63eb62da52c941c930b82fa71f961e850d85fc74eb950c840b83fb62ea61e951c840c73fb73eb61d95"
     "1d940c73fb72fa62e951d840fb73eb62ea51d940c830b73fa62e961d950c84fc73fb62ea51d951c840b73fb751d940c83fb7"
     "3fb62e951d950c840b73fb62ea61d941c840c73fb72ea61d951d"},
    {DType::q6_k, input_b,
     "d158bf37be25ad048b047bf37ad159d0c941ea63eb74fb741d951ea72fc841c9bf35ad169b048df26be069d147cf38bd1a92"
     "2c840d85ed77ff57d038b04aa22b67df58c139b22aa22b931c85fd76ee57ce5ad137b31a902c830f86ec78ff55d1c841da62"
     "eb63fc840d951ea63fb840c9d129b30b931c74fe86de67ff47d129b118b1c66cb11b6c861b71c61cb1c76cb22453f9248ef9"
     "138ef4538d2452f9248ed4a209d47e09a37e14a349d4ae09d77ec863be1463c9147ec923bec463bd1463807f897a867a8487"
     "7f737d7a81877c89758a"},
    {DType::q6_k, input_c,
     "b1b0cfcd7c8d8b9a49495857061615241d1d2e3f40525162748594a6a7b8c8d93616040303f3d0d0c0cfaf9d9c8c7c696958"
     "3737262504f4f3e2e1c1c0bfbe9cb8c8d9eaebfb0c1d2e2f3f40516263838b9baabac7c7d7e7f4f4041321313040a0a3a393"
     "73666767373a3a3a0a0dfdfd1240404f4f7e7c7c8bbbb9b9b8e8e6e5c81d61b6cbdc21768bd82d7287d82d7284fb2e5185f8"
     "2f1245b8ef1245b4eb1e124db8e7124d88f7225d88f4235e49b42cd1867728dd827728dd924738ed9247ef11e0ded232bfbf"
     "52b05f9f7373807fbf8b"},
};

std::string to_hex(const Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("codecs: golden rows encode to the reference's bytes", "[codec]") {
  for (const Golden& golden : kGoldens) {
    INFO(info(golden.type).name);
    CHECK(to_hex(encode(golden.type, golden.input())) == golden.hex);
  }
}

TEST_CASE("codecs: 32 values under one scale come back within half a step", "[codec]") {
  struct Expected {
    DType type;
    float worst;  // part of the largest magnitude
  };
  // q4_0 and q5_0 have one code less on the side opposite to the extreme: there it is a whole step.
  const Expected expected = GENERATE(values<Expected>({{DType::q4_0, 1.0f / 8},
                                                       {DType::q4_1, 1.0f / 15},
                                                       {DType::q5_0, 1.0f / 16},
                                                       {DType::q5_1, 1.0f / 31},
                                                       {DType::q8_0, 0.5f / 127}}));
  INFO(info(expected.type).name);
  const float scale = GENERATE(0.01f, 1.0f, 1e4f);
  const Floats x = noise(32 * 64, scale);
  const Floats y = decode(expected.type, encode(expected.type, x), x.size());
  float worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  CHECK(worst <= (expected.worst + 0x1p-10f) * scale);  // and the rounding of the scale to a half
}

TEST_CASE("codecs: a round trip loses no more than the bits of the type demand", "[codec]") {
  struct Expected {
    DType type;
    double error;  // rms, relative, on uniform noise
  };
  const Expected expected = GENERATE(values<Expected>({{DType::f32, 0},
                                                       {DType::f16, 3e-4},
                                                       {DType::bf16, 3e-3},
                                                       {DType::q4_0, 0.08},
                                                       {DType::q4_1, 0.08},
                                                       {DType::q5_0, 0.04},
                                                       {DType::q5_1, 0.04},
                                                       {DType::q8_0, 0.005},
                                                       {DType::q2_k, 0.4},
                                                       {DType::q3_k, 0.2},
                                                       {DType::q4_k, 0.08},
                                                       {DType::q5_k, 0.04},
                                                       {DType::q6_k, 0.02},
                                                       {DType::iq4_nl, 0.1},
                                                       {DType::iq4_xs, 0.1},
                                                       {DType::sfp, 0.06}}));
  INFO(info(expected.type).name);
  const Floats x = noise(256 * 16, 0.05f);
  CHECK(relative_rms_error(x, decode(expected.type, encode(expected.type, x), x.size())) <= expected.error);
}

TEST_CASE("codecs: a row of zeros comes back as zeros", "[codec]") {
  for (const DTypeInfo& row : kDTypes) {
    INFO(row.name);
    CHECK(decode(row.id, encode(row.id, Floats(512)), 512) == Floats(512));
  }
}

TEST_CASE("codecs: blocks of a row do not see each other", "[codec]") {
  const Floats x = noise(512, 1);
  const Floats second(x.begin() + 256, x.end());
  for (const DTypeInfo& row : kDTypes) {
    INFO(row.name);
    const Bytes whole = encode(row.id, x);
    CHECK(Bytes(whole.begin() + static_cast<std::ptrdiff_t>(whole.size() / 2), whole.end()) == encode(row.id, second));
  }
}

TEST_CASE("codecs: scales too small for a normal half are kept as subnormal ones", "[codec]") {
  const Floats x = noise(256, 1e-3f);
  CHECK(relative_rms_error(x, decode(DType::q8_0, encode(DType::q8_0, x), x.size())) < 0.01);
}

TEST_CASE("q4_0: each code is its number minus 8, times the scale", "[codec]") {
  BlockQ4_0 block{half_from_float(0.5f), {}};
  for (std::size_t i = 0; i < 16; ++i) block.qs[i] = static_cast<std::uint8_t>(i | (15 - i) << 4);
  Floats out(32);
  Q4_0::dequantize_row(&block, out.data(), out.size());
  for (std::size_t i = 0; i < 16; ++i) {
    CHECK(out[i] == (static_cast<float>(i) - 8) / 2);
    CHECK(out[16 + i] == (7 - static_cast<float>(i)) / 2);
  }
}

TEST_CASE("q8_0: each of the 256 codes is its number, times the scale", "[codec]") {
  std::vector<BlockQ8_0> blocks(8, {half_from_float(0.25f), {}});
  for (int code = -128; code <= 127; ++code) {
    const auto i = static_cast<std::size_t>(code + 128);
    blocks[i / 32].qs[i % 32] = static_cast<std::int8_t>(code);
  }
  Floats out(256);
  Q8_0::dequantize_row(blocks.data(), out.data(), out.size());
  for (int code = -128; code <= 127; ++code)
    CHECK(out[static_cast<std::size_t>(code + 128)] == static_cast<float>(code) / 4);
}

TEST_CASE("iq4: a value takes the nearest entry of the table, the greater of two at the same distance", "[codec]") {
  for (std::uint8_t code = 0; code < 16; ++code) CHECK(nearest_iq4(kIq4Values[code]) == code);
  CHECK(nearest_iq4(-1000) == 0);
  CHECK(nearest_iq4(1000) == 15);
  CHECK(nearest_iq4(-4.5f) == 8);  // between -10 and 1
  CHECK(nearest_iq4(std::nextafter(-4.5f, -5.0f)) == 7);
}

TEST_CASE("q4_k: packed scales and minima of 6 bits come back", "[codec]") {
  const std::uint8_t scales[] = {0, 63, 1, 32, 15, 16, 48, 63};
  const std::uint8_t mins[] = {63, 0, 31, 5, 47, 62, 0, 17};
  std::uint8_t packed[12];
  pack_sub_scales(scales, mins, packed);
  for (std::size_t j = 0; j < 8; ++j) {
    CHECK(unpack_sub_scale(packed, j).scale == scales[j]);
    CHECK(unpack_sub_scale(packed, j).min == mins[j]);
  }
}

TEST_CASE("codecs: rounding to a code takes any number", "[codec]") {
  CHECK(nearest_code(2.5f, 0, 15) == 2);
  CHECK(nearest_code(3.5f, 0, 15) == 4);
  CHECK(nearest_code(-2.5f, -32, 31) == -2);
  CHECK(nearest_code(100, -32, 31) == 31);
  for (const float x : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::max()}) {
    CHECK(nearest_code(x, 0, 15) >= 0);
    CHECK(nearest_code(x, 0, 15) <= 15);
    CHECK(bounded(x, 0, 15) >= 0);
    CHECK(bounded(x, 0, 15) <= 15);
  }
}

TEST_CASE("codecs: any bytes decode, and the same way each time", "[codec][robust]") {
  std::mt19937 random(11);
  for (const DTypeInfo& row : kDTypes) {
    INFO(row.name);
    for (int round = 0; round < 200; ++round) {
      Bytes bytes(row_bytes(row.id, 512));
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
      if (round % 4 == 0) std::ranges::fill(bytes, static_cast<std::uint8_t>(round / 4 % 2 == 0 ? 0xFF : 0x7C));
      if (!same_numbers(decode(row.id, bytes, 512), decode(row.id, bytes, 512))) FAIL("decodes differently");
    }
  }
}

TEST_CASE("codecs: any floats encode, NaN and infinity too, and what they encode to decodes", "[codec][robust]") {
  std::mt19937 random(13);
  const float odd[] = {std::numeric_limits<float>::infinity(),   -std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN(),  std::numeric_limits<float>::max(),
                       std::numeric_limits<float>::denorm_min(), -0.0f};
  for (const DTypeInfo& row : kDTypes) {
    INFO(row.name);
    for (std::uint32_t round = 0; round < 60; ++round) {
      Floats x = noise(512, 1);
      for (float& value : x) {
        if (round % 3 == 0) value = __builtin_bit_cast(float, static_cast<std::uint32_t>(random()));
        if (round % 3 == 1 && random() % 64 == 0) value = odd[random() % std::size(odd)];
        if (round % 3 == 2) value = odd[round / 3 % std::size(odd)];
      }
      CHECK(decode(row.id, encode(row.id, x), x.size()).size() == x.size());
    }
  }
}

TEST_CASE("with_codec: hands over the codec of the type asked for", "[codec]") {
  for (const DTypeInfo& row : kDTypes) {
    INFO(row.name);
    CHECK(with_codec(row.id, [](auto codec) { return decltype(codec)::dtype; }) == row.id);
    CHECK(has_encoder(row.id));
  }
}
