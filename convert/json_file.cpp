#include "convert/json_file.h"

#include <cmath>
#include <set>
#include <vector>

#include "engine/error.h"
#include "engine/file/mapped_file.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr int kMaxDepth = 64;

}  // namespace

Json parse_json(std::span<const std::byte> bytes, const std::string& path) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth) throw BadFile(path + ": is nested more than " + std::to_string(kMaxDepth) + " deep");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw BadFile(path + ": key " + quote(parsed.get<std::string>()) + ": appears twice");
    return true;
  };
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  Json parsed = Json::parse(text, text + bytes.size(), check, false);
  if (parsed.is_discarded()) throw BadFile(path + ": is not JSON");
  return parsed;
}

Json read_json(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  return parse_json(file.bytes(), path.string());
}

JsonKeys::JsonKeys(const Json& object, const std::string& path) : object_(object), path_(path) {
  if (!object.is_object()) throw BadFile(path + ": is " + object.type_name() + ", expected an object");
}

void JsonKeys::refuse(const char* key, const std::string& why) const { throw BadFile(path_ + ": " + key + ": " + why); }

bool JsonKeys::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

const Json& JsonKeys::at(const char* key) const {
  if (!has(key)) refuse(key, "is missing");
  return *object_.find(key);
}

std::uint64_t JsonKeys::count(const char* key, std::uint64_t max) const {
  const Json& value = at(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() < 1 || value.get<std::uint64_t>() > max)
    refuse(key, "is " + quote(value.dump(-1, ' ', true, Json::error_handler_t::replace)) + ", expected 1 to " +
                    std::to_string(max));
  return value.get<std::uint64_t>();
}

std::uint64_t JsonKeys::count_or(const char* key, std::uint64_t fallback, std::uint64_t max) const {
  return has(key) ? count(key, max) : fallback;
}

double JsonKeys::real(const char* key) const {
  const Json& value = at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(key, "is not a finite number");
  return value.get<double>();
}

double JsonKeys::real_or(const char* key, double fallback) const { return has(key) ? real(key) : fallback; }

std::string JsonKeys::text_or(const char* key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  if (!at(key).is_string()) refuse(key, "is " + std::string(at(key).type_name()) + ", expected a text");
  return at(key).get<std::string>();
}

bool JsonKeys::flag_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!at(key).is_boolean()) refuse(key, "is " + std::string(at(key).type_name()) + ", expected true or false");
  return at(key).get<bool>();
}

}  // namespace carat
