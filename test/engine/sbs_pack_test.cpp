// i8 and nuq: what is packed reads back as what the encoder said, as near to the values as the types allow.
#include "engine/file/sbs_pack.h"

#include <cmath>
#include <random>

#include "engine/file/sbs_contents.h"
#include "kernels/half.h"
#include "test/support/catch.h"
#include "test/support/fixtures.h"

namespace carat {
namespace {

std::vector<float> normal(std::size_t n, float spread = 0.05f) {
  std::mt19937 random(7);
  std::normal_distribution<float> distribution(0, spread);
  std::vector<float> values(n);
  for (float& value : values) value = distribution(random);
  return values;
}

struct Packed {
  std::vector<std::byte> bytes;
  std::vector<float> decoded, read;  // as the encoder says; as the reader finds them, in bf16
};

Packed pack(SbsType type, const std::vector<float>& values) {
  Packed packed{std::vector<std::byte>(sbs_bytes(type, values.size())), std::vector<float>(values.size()), {}};
  pack_sbs(type, values, packed.bytes.data(), packed.decoded.data());
  const auto bf16 = unpack_to_bf16(type, packed.bytes, values.size(), NuqLayout::by_group);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, &bf16[2 * i], sizeof bits);
    packed.read.push_back(bf16_to_float(bits));
  }
  return packed;
}

double rms(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

TEST_CASE("pack: what is read back is what the encoder said, in whole groups and parts", "[sbs]") {
  const SbsType type = GENERATE(SbsType::i8, SbsType::nuq);
  const std::size_t n = GENERATE(1, 2, 127, 128, 129, 255, 256, 257, 1000);
  const std::vector<float> values = normal(n);
  const Packed packed = pack(type, values);
  for (std::size_t i = 0; i < n; ++i) CHECK(packed.read[i] == bf16_to_float(bf16_from_float(packed.decoded[i])));
}

TEST_CASE("pack: i8 is within a step of 255 in the range of its group", "[sbs]") {
  const std::vector<float> values = normal(128 * 50);
  const Packed packed = pack(SbsType::i8, values);
  for (std::size_t first = 0; first < values.size(); first += 128) {
    const auto [min, max] = std::ranges::minmax(std::span(values).subspan(first, 128));
    for (std::size_t i = first; i < first + 128; ++i)  // bf16 moves the ends of the range by a part in 256
      CHECK(std::abs(packed.decoded[i] - values[i]) < 2 * (max - min) / 255);
  }
  CHECK(pack(SbsType::i8, std::vector<float>(200, 0.0f)).decoded == std::vector<float>(200, 0.0f));
}

TEST_CASE("pack: i8 of the fixture's float32 weights has the fixture's bytes", "[sbs][fixtures]") {
  CARAT_NEEDS_FIXTURES();
  const auto sbs = test::fixtures() / "sbs";
  const MappedFile full = MappedFile::open(sbs / "tiny3-f32.sbs"), eight = MappedFile::open(sbs / "tiny3-i8.sbs");
  const SbsContents from = read_sbs_contents(full.bytes(), "f32"), to = read_sbs_contents(eight.bytes(), "i8");
  REQUIRE(from.tensors.size() == to.tensors.size());
  std::size_t packed = 0;
  for (std::size_t i = 0; i < from.tensors.size(); ++i) {
    if (to.tensors[i].tensor.type != SbsType::i8) continue;
    INFO(to.tensors[i].tensor.name);
    std::vector<float> values(from.tensors[i].bytes.size() / sizeof(float));
    std::memcpy(values.data(), from.tensors[i].bytes.data(), from.tensors[i].bytes.size());
    CHECK(std::ranges::equal(pack(SbsType::i8, values).bytes, to.tensors[i].bytes));
    ++packed;
  }
  CHECK(packed > 0);
}

TEST_CASE("pack: nuq keeps sixteen values of sfp exactly, and is nearer than sixteen even steps", "[sbs]") {
  std::vector<float> few(256);
  for (std::size_t i = 0; i < few.size(); ++i) few[i] = static_cast<float>(i % 16) / 8 - 1;
  CHECK(pack(SbsType::nuq, few).decoded == few);
  CHECK(pack(SbsType::nuq, std::vector<float>(300, 0.25f)).decoded == std::vector<float>(300, 0.25f));

  const std::vector<float> values = normal(256 * 20);
  std::vector<float> even(values.size());
  for (std::size_t first = 0; first < values.size(); first += 256) {
    const auto [min, max] = std::ranges::minmax(std::span(values).subspan(first, 256));
    for (std::size_t i = first; i < first + 256; ++i)
      even[i] = min + std::nearbyint((values[i] - min) / (max - min) * 15) * (max - min) / 15;
  }
  CHECK(rms(pack(SbsType::nuq, values).decoded, values) < 0.8 * rms(even, values));
}

}  // namespace
}  // namespace carat
