// JSON out of files that may be anything: read whole, with the file and the key in every message.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>

namespace carat {

using Json = nlohmann::json;

// Throws BadFile for what is not JSON, is nested too deep to be meant, or has a key twice in one object.
Json parse_json(std::span<const std::byte> bytes, const std::string& path);
Json read_json(const std::filesystem::path& path);

// An object whose keys are asked for by name, type and range.
class JsonKeys {
 public:
  // Throws BadFile if it is not an object. Copies neither.
  JsonKeys(const Json& object, const std::string& path);

  bool has(const char* key) const;  // and is not null
  const Json& at(const char* key) const;

  std::uint64_t count(const char* key, std::uint64_t max) const;  // 1 … max
  std::uint64_t count_or(const char* key, std::uint64_t fallback, std::uint64_t max) const;
  double real(const char* key) const;  // finite
  double real_or(const char* key, double fallback) const;
  std::string text_or(const char* key, const std::string& fallback) const;
  bool flag_or(const char* key, bool fallback) const;

  [[noreturn]] void refuse(const char* key, const std::string& why) const;

 private:
  const Json& object_;
  const std::string& path_;
};

}  // namespace carat
