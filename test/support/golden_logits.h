// Models of the fixtures, the tokens they are fed, and the logits that come of it: others' and ours.
#pragma once
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "engine/session.h"
#include "test/support/fixtures.h"

namespace carat::test {

inline std::vector<float> read_floats(const std::filesystem::path& path) {
  const std::vector<char> bytes = slurp(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Token ids with commas between them.
inline std::vector<TokenId> read_ids(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<TokenId> ids;
  for (std::string id; std::getline(in, id, ',');) ids.push_back(std::stoi(id));
  return ids;
}

inline std::filesystem::path beside(std::filesystem::path model, const char* extension) {
  return model.replace_extension(extension);
}

inline std::vector<std::filesystem::path> models_of(std::initializer_list<const char*> folders) {
  std::vector<std::filesystem::path> found;
  for (const char* folder : folders)
    for (const auto& entry : std::filesystem::directory_iterator(fixtures() / folder))
      if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

// After each of `ids`, one after another.
inline std::vector<float> logits_of(const Model& model, std::size_t batch, const std::vector<TokenId>& ids,
                                    const CacheTypes& cache = {}) {
  Session session(model, {ids.size(), batch, cache});
  std::vector<float> all;
  session.feed(ids, 0, [&](std::size_t, std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); });
  return all;
}

}  // namespace carat::test
