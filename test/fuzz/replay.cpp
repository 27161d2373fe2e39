// A target without a fuzzer: replay_TARGET [--seeds FOLDER] [FILE | FOLDER …] runs the seeds, mutants of them that are
// the same every time, and the files; --seeds writes the seeds instead.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "test/fuzz/target.h"

namespace {

using carat::fuzz::Bytes;
namespace fs = std::filesystem;

constexpr int kMutants = 200;      // of each seed
constexpr int kChangesInARow = 4;  // of a mutant

void write_seeds(const fs::path& folder) {
  fs::create_directories(folder);
  int number = 0;
  for (const Bytes& seed : carat::fuzz::seeds()) {
    std::ofstream out(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
    out.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
  }
}

// One byte of the input, somewhere, becomes another: what libFuzzer does without a structure to keep.
Bytes flipped(Bytes bytes, std::mt19937& random) {
  if (!bytes.empty()) bytes[random() % bytes.size()] ^= static_cast<std::byte>(1 + random() % 255);
  return bytes;
}

void run_mutants(const Bytes& seed, std::mt19937& random) {
  for (int i = 0; i < kMutants; ++i) {
    Bytes mutant = seed;
    for (unsigned change = 0; change <= random() % kChangesInARow; ++change) {
      const Bytes kept = carat::fuzz::mutated(mutant, random);
      mutant = kept.empty() || random() % 4 == 0 ? flipped(mutant, random) : kept;
    }
    carat::fuzz::run(mutant);
  }
}

void run_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);
  carat::fuzz::run(carat::fuzz::bytes_of(text));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--seeds") == 0) {
    write_seeds(argv[2]);
    return 0;
  }
  std::mt19937 random(1);
  carat::fuzz::run({});
  for (const Bytes& seed : carat::fuzz::seeds()) {
    carat::fuzz::run(seed);
    run_mutants(seed, random);
  }
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      run_file(argv[i]);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(argv[i])) run_file(entry.path());
  }
}
