// FILE.kv, what a session has read: taken whole, and then gone on from, or refused.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "app/crc32.h"
#include "app/session_cache.h"
#include "engine/error.h"
#include "test/fuzz/target.h"
#include "test/support/temp_dir.h"
#include "test/support/tiny_model.h"

namespace carat::fuzz {
namespace {

constexpr std::uint64_t kKey = 7;
constexpr std::size_t kContext = 32, kVocabulary = 12, kHeader = 8 + 4 + 3 * 8;  // as session_cache.cpp has it

const Model& model(bool has_window) {
  const auto make = [](const char* architecture) {
    test::TinyShape shape;
    shape.architecture = architecture;
    shape.width = shape.hidden = 32;
    shape.heads = 2;
    shape.kv_heads = 1;
    shape.vocabulary = kVocabulary;
    static std::vector<std::vector<std::byte>> files;  // which the models look into
    files.push_back(test::TinyModelWriter(shape).bytes());
    return load_model(parse_gguf(files.back(), "model"), make_cpu_backend({1, "reference"}));
  };
  static const Model whole = make("llama"), windowed = make("gemma2");
  return has_window ? windowed : whole;
}

Session session(bool has_window) { return Session(model(has_window), {kContext, 4}); }

void read(std::span<const std::byte> input, bool has_window) try {
  Session fresh = session(has_window);
  const std::vector<TokenId> ids = read_cache(input, fresh, kKey, kVocabulary);
  if (ids.size() != fresh.position()) std::abort();
  const TokenId next = 3;
  if (fresh.room() > 0) fresh.feed({&next, 1});
} catch (const Error&) {
}

}  // namespace

void run(std::span<const std::byte> input) {
  for (const bool has_window : {false, true}) read(input, has_window);
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  const test::TempDir folder;
  for (const bool has_window : {false, true}) {
    for (const std::size_t length : {3, 30}) {
      Session written = session(has_window);
      const std::vector<TokenId> ids(length, 2);
      written.feed(ids);
      save_cache(folder / "kv", written, ids, kKey);
      std::ifstream in(folder / "kv", std::ios::binary);
      all.push_back(bytes_of(std::string{std::istreambuf_iterator<char>(in), {}}));
    }
  }
  return all;
}

// A number of the header, an id or a byte of the contents, and the sum over it made right again.
Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  constexpr std::size_t kSum = sizeof(std::uint32_t);
  if (input.size() < kHeader + kSum) return {};
  Bytes changed(input.begin(), input.end() - kSum);
  if (random() % 8 == 0) changed.resize(changed.size() - random() % (changed.size() - kHeader + 1));
  if (random() % 2 == 0) {
    const std::uint64_t numbers[] = {0, 1, 4, kContext - 1, kContext, kContext + 1, 1u << 31, UINT64_MAX};
    const std::uint64_t number = one_of<std::uint64_t>(numbers, random);
    std::memcpy(&changed[kHeader - 8 * (1 + random() % 2)], &number, sizeof number);
  } else {
    changed[kHeader - 16 + random() % (changed.size() - kHeader + 16)] = static_cast<std::byte>(random());
  }
  const std::uint32_t sum = crc32(0, changed);
  const auto bytes = std::as_bytes(std::span(&sum, 1));
  changed.insert(changed.end(), bytes.begin(), bytes.end());
  return changed;
}

}  // namespace carat::fuzz
