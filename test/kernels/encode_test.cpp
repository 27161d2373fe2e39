// The fast encoders against the codecs, byte for byte, on every instruction set this machine has.
#include <cmath>
#include <random>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "kernels/quant/codecs.h"
#include "test/support/catch.h"

using namespace carat;
using cpu::Table;

namespace {

using Floats = std::vector<float>;

Floats normal(std::size_t n, unsigned seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution(0, spread);
  Floats x(n);
  for (float& value : x) value = distribution(random);
  return x;
}

std::vector<std::byte> encode(const Table& table, DType type, const Floats& x) {
  std::vector<std::byte> row(row_bytes(type, x.size()));
  cpu::encoder(table, type)(x.data(), row.data(), x.size());
  return row;
}

void check_like_codec(const Table& table, const Floats& x, const std::string& what) {
  for (const DTypeInfo& row : kDTypes) {
    const std::size_t n = x.size() / row.block * row.block;
    const Floats part(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(n));
    std::vector<std::byte> expected(row_bytes(row.id, n));
    quantize_row(row.id, part.data(), expected.data(), n);
    INFO(table.name << " " << row.name << " " << what << ", " << n << " elements");
    CHECK((encode(table, row.id, part) == expected));  // in brackets: not printed
  }
}

const Table* any_table() { return GENERATE(from_range(cpu::usable().begin(), cpu::usable().end())); }

}  // namespace

TEST_CASE("encoders: the bytes are the codec's, at any number of blocks and any scale", "[isa][codec]") {
  const Table* isa = any_table();
  for (const std::size_t blocks : {1, 2, 3, 7, 16, 33})
    for (const float spread : {1e-4f, 0.02f, 1.0f, 300.0f})
      check_like_codec(*isa, normal(blocks * 256 + 32, static_cast<unsigned>(blocks), spread), "normal numbers");
}

TEST_CASE("encoders: the bytes are the codec's where values tie, repeat or vanish", "[isa][codec]") {
  const Table* isa = any_table();
  std::mt19937 random(5);
  Floats coarse(256 * 24), positive(256 * 24), sparse(256 * 24), halves(256 * 24), tiny(256 * 24), flat(256 * 24);
  for (std::size_t i = 0; i < coarse.size(); ++i) {
    coarse[i] = static_cast<float>(static_cast<int>(random() % 9) - 4) / 4;  // extremes of both signs, and both zeros
    if (coarse[i] == 0 && random() % 2 == 0) coarse[i] = -0.0f;
    positive[i] = 1 + static_cast<float>(random() % 1000) / 1000;
    sparse[i] = random() % 40 == 0 ? coarse[i] : 0;
    halves[i] = half_to_float(half_from_float(static_cast<float>(random() % 4096) / 65536 - 0.03f));
    tiny[i] = coarse[i] * 1e-14f * static_cast<float>(i / 256 % 3);
    flat[i] = static_cast<float>(i / 48 % 5) - 2;
  }
  check_like_codec(*isa, coarse, "few values");
  check_like_codec(*isa, positive, "positive numbers");
  check_like_codec(*isa, sparse, "mostly zeros");
  check_like_codec(*isa, halves, "halves");
  check_like_codec(*isa, tiny, "negligible numbers");
  check_like_codec(*isa, flat, "stretches of one value");
  check_like_codec(*isa, Floats(512, 0.0f), "zeros");
  check_like_codec(*isa, Floats(512, -0.0f), "negative zeros");
}

TEST_CASE("encoders: sfp rounds every float of 16 bits as its codec does, and what lies between", "[isa][codec]") {
  const Table* isa = any_table();
  Floats x;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits)
    for (const std::uint32_t low : {0u, 1u, 0x8000u, 0xFFFFu}) {
      const auto value = __builtin_bit_cast(float, bits << 16 | low);
      if (std::isfinite(value)) x.push_back(value);
    }
  x.push_back(1);  // a number that fills no register
  std::vector<std::byte> expected(x.size());
  quantize_row(DType::sfp, x.data(), expected.data(), x.size());
  INFO(isa->name);
  CHECK((encode(*isa, DType::sfp, x) == expected));
}

TEST_CASE("encoders: q8_0 rounds ties away from zero, and just below them down", "[isa][codec]") {
  const Table* isa = any_table();
  Floats x(32);
  x[0] = 127;
  for (std::size_t i = 1; i < x.size(); ++i) {
    const float tie = static_cast<float>(i) / 2 * (i % 4 < 2 ? 1.0f : -1.0f);
    x[i] = i % 3 == 0 ? std::nextafter(tie, 0.0f) : tie;
  }
  check_like_codec(*isa, x, "ties");
}

TEST_CASE("encoders: numbers of any bits encode without a fault", "[isa][codec][robust]") {
  const Table* isa = any_table();
  std::mt19937 random(9);
  for (int round = 0; round < 40; ++round) {
    Floats x(512);
    for (float& value : x) value = __builtin_bit_cast(float, static_cast<std::uint32_t>(random()));
    if (round % 2 == 0) x[random() % x.size()] = round % 4 == 0 ? NAN : HUGE_VALF;
    for (const DTypeInfo& row : kDTypes) encode(*isa, row.id, x);
  }
  SUCCEED();
}

TEST_CASE("a comparison finds the sums of squares and the worst miss", "[isa]") {
  const Table* isa = any_table();
  for (const std::size_t n : {1, 5, 16, 31, 100}) {
    Floats x = normal(n, 3, 1), y = x;
    y[n / 2] += 0.5f;
    y[n - 1] -= 0.25f;
    const cpu::Difference found = isa->compare(x.data(), y.data(), n);
    const cpu::Difference expected = cpu::kReference.compare(x.data(), y.data(), n);
    CHECK(found.squares == Approx(expected.squares));
    CHECK(found.misses == Approx(expected.misses));
    CHECK(found.worst == Approx(expected.worst));
  }
}
