// gemma.cpp's .sbs: both kinds of store, configuration, directory, and the network they describe.
#include <algorithm>
#include <cstring>

#include "engine/file/sbs.h"
#include "test/fuzz/model_target.h"
#include "test/support/tiny_sbs.h"

namespace carat::fuzz {

void run(std::span<const std::byte> input) {
  run_model(input, [](auto bytes, const char* name) { return parse_sbs(bytes, name); });
  try {
    parse_sbs_config(input, "input");
  } catch (const Error&) {
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const bool gemma3 : {true, false}) {
    const test::SbsBlobs blobs = test::tiny_sbs_blobs(gemma3);
    all.push_back(test::sbs_v1(blobs));
    all.push_back(test::sbs_v2(blobs, gemma3));
    all.push_back(serialise(test::tiny_sbs_config(gemma3)));
  }
  return all;
}

// A u32 somewhere, where these formats have most of their numbers, becomes one that is just wrong or far out.
Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  if (input.size() < 8) return {};
  Bytes changed(input.begin(), input.end());
  const std::size_t at = random() % (changed.size() / 4) * 4;
  std::uint32_t value;
  std::memcpy(&value, &changed[at], sizeof value);
  const std::uint32_t choices[] = {
      0,         1,         2,          value + 1,  value - 1,
      value * 2, value / 2, 0x7fffffff, 0xffffffff, static_cast<std::uint32_t>(input.size())};
  value = one_of<std::uint32_t>(choices, random);
  std::memcpy(&changed[at], &value, sizeof value);
  return changed;
}

}  // namespace carat::fuzz
