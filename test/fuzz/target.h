// What every fuzz target defines: one input of a stranger, sound ones to begin with, and a way to change them. The same
// target is run by libFuzzer (scripts/fuzz) and, over seeds, a few mutants and past findings, by the tests.
#pragma once
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carat::fuzz {

using Bytes = std::vector<std::byte>;

// Gives `input` to the code under test. That it is refused is fine; a crash, a hang or an exception that no caller
// expects is a finding.
void run(std::span<const std::byte> input);

std::vector<Bytes> seeds();

// A change that keeps the format's structure, so that the mutant gets past the first checks; empty where `input` has
// none to keep.
Bytes mutated(std::span<const std::byte> input, std::mt19937& random);

inline Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class T>
const T& one_of(std::span<const T> choices, std::mt19937& random) {
  return choices[random() % choices.size()];
}

// One of `parts`, somewhere in the input.
inline Bytes with_part(std::span<const std::byte> input, std::span<const std::string_view> parts,
                       std::mt19937& random) {
  std::string text(text_of(input));
  text.insert(random() % (text.size() + 1), one_of(parts, random));
  return bytes_of(text);
}

}  // namespace carat::fuzz
