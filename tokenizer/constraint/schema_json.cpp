#include "tokenizer/constraint/schema_json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

constexpr auto kAnnotations = std::to_array<std::string_view>(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id", "$comment",
     "$defs", "definitions", "contentEncoding", "contentMediaType", "contentSchema"});

constexpr char kBetweenPatterns = '\xff';  // never part of a text that was read as JSON

}  // namespace

void refuse_schema(const std::string& at, const std::string& why) {
  throw BadConstraint((at.empty() ? "the schema" : at) + ": " + why);
}

std::string below(const std::string& at, std::string_view key) {
  std::string path = at + "/";
  for (const char c : key) {
    if (c == '~') {
      path += "~0";
    } else if (c == '/') {
      path += "~1";
    } else {
      path += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
  }
  return path;
}

bool is_annotation(std::string_view keyword) { return std::ranges::find(kAnnotations, keyword) != kAnnotations.end(); }

std::string spelling(const SchemaJson& value) {
  std::string text;
  if (value.is_object()) {
    std::map<std::string, std::string> members;
    for (const auto& [key, item] : value.items()) members.emplace(SchemaJson(key).dump(), spelling(item));
    for (const auto& [key, item] : members) text.append(text.empty() ? "" : ",").append(key).append(":").append(item);
    return "{" + text + "}";
  }
  if (value.is_array()) {
    for (const SchemaJson& item : value) text.append(text.empty() ? "" : ",").append(spelling(item));
    return "[" + text + "]";
  }
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    constexpr double kLimit = 0x1p63;
    if (number == std::floor(number) && std::abs(number) < kLimit) {
      return std::to_string(static_cast<std::int64_t>(number));
    }
    if (number == std::floor(number) && number > 0 && number < 2 * kLimit) {
      return std::to_string(static_cast<std::uint64_t>(number));
    }
  }
  return value.dump();
}

std::string type_of(const SchemaJson& value) {
  const bool is_whole = value.is_number_integer() || (value.is_number() && std::floor(value.get<double>()) == value);
  return is_whole ? "integer" : value.type_name();
}

std::vector<std::string> patterns_of(const SchemaJson& pattern, const std::string& at) {
  if (!pattern.is_string()) refuse_schema(at, "must be a string");
  std::vector<std::string> patterns;
  std::string_view rest = pattern.get_ref<const std::string&>();
  for (std::size_t end; (end = rest.find(kBetweenPatterns)) != std::string_view::npos; rest.remove_prefix(end + 1)) {
    patterns.emplace_back(rest.substr(0, end));
  }
  patterns.emplace_back(rest);
  return patterns;
}

SchemaJson both_patterns(const SchemaJson& a, const SchemaJson& b) {
  std::vector<std::string> known = patterns_of(a, "");
  auto text = a.get<std::string>();
  for (std::string& pattern : patterns_of(b, "")) {
    if (std::ranges::find(known, pattern) != known.end()) continue;
    text += kBetweenPatterns + pattern;
    known.push_back(std::move(pattern));
  }
  return text;
}

std::size_t values_in(const SchemaJson& value) {
  constexpr std::size_t kBytes = 64;
  if (value.is_string()) return 1 + value.get_ref<const std::string&>().size() / kBytes;
  std::size_t count = 1;
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) count += key.size() / kBytes + values_in(item);
  } else if (value.is_array()) {
    for (const SchemaJson& item : value) count += values_in(item);
  }
  return count;
}

}  // namespace carat
