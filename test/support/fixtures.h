// Where the test data lies, and how a test says that it is absent.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "test/support/catch.h"

namespace carat::test {

// The folder of real files and golden results: CARAT_FIXTURES, or ../shared/fixtures beside the checkout; else empty.
inline std::filesystem::path fixtures() {
  if (const char* chosen = std::getenv("CARAT_FIXTURES")) return chosen;
  const auto beside = std::filesystem::path(CARAT_SOURCE_DIR).parent_path() / "shared" / "fixtures";
  return std::filesystem::exists(beside) ? beside : std::filesystem::path();
}

// The bytes of a file, whole.
inline std::vector<char> slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::string slurp_text(const std::filesystem::path& path) {
  const std::vector<char> bytes = slurp(path);
  return {bytes.begin(), bytes.end()};
}

}  // namespace carat::test

// First line of a test that needs `fixtures()`: CTest reports the case as skipped when they are absent.
#define CARAT_NEEDS_FIXTURES()                                         \
  if (carat::test::fixtures().empty()) {                               \
    WARN("skipped: no fixtures (set CARAT_FIXTURES to their folder)"); \
    return;                                                            \
  }
