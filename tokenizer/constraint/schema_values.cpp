#include "tokenizer/constraint/schema_values.h"

#include <algorithm>
#include <array>
#include <functional>

#include "tokenizer/constraint/constraint.h"
#include "tokenizer/constraint/constraint_matcher.h"
#include "tokenizer/constraint/json_grammar.h"

namespace carat {
namespace {

using Check = std::function<bool(const SchemaJson& value)>;

long double number_of(const SchemaJson& limit, const std::string& at) {
  if (!limit.is_number()) refuse_schema(at, "must be a number");
  return limit.get<long double>();
}

// Code points, or items.
long double length_of(const SchemaJson& value) {
  if (!value.is_string()) return static_cast<long double>(value.size());
  const auto& text = value.get_ref<const std::string&>();
  const auto begins_point = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; };
  return static_cast<long double>(std::ranges::count_if(text, begins_point));
}

Check pattern_check(const std::string& key, const SchemaJson& value, const std::string& at) {
  try {
    const Automaton form = json_schema_constraint(SchemaJson({{"type", "string"}, {key, value}}).dump());
    return [form](const SchemaJson& text) {
      return accepts(form, JsonGrammar::quoted(text.get_ref<const std::string&>()));
    };
  } catch (const BadConstraint& e) {
    refuse_schema(at, e.what());
  }
}

// A keyword, the type it is about, and how a value of that type is held against it.
struct Assertion {
  std::string_view key;
  bool (SchemaJson::*is_about)() const noexcept;
  bool (*holds)(const SchemaJson& value, long double limit);
};
constexpr auto kAssertions = std::to_array<Assertion>({
    {"minimum", &SchemaJson::is_number, [](const SchemaJson& v, long double x) { return v.get<long double>() >= x; }},
    {"maximum", &SchemaJson::is_number, [](const SchemaJson& v, long double x) { return v.get<long double>() <= x; }},
    {"exclusiveMinimum", &SchemaJson::is_number,
     [](const SchemaJson& v, long double x) { return v.get<long double>() > x; }},
    {"exclusiveMaximum", &SchemaJson::is_number,
     [](const SchemaJson& v, long double x) { return v.get<long double>() < x; }},
    {"minLength", &SchemaJson::is_string, [](const SchemaJson& v, long double x) { return length_of(v) >= x; }},
    {"maxLength", &SchemaJson::is_string, [](const SchemaJson& v, long double x) { return length_of(v) <= x; }},
    {"minItems", &SchemaJson::is_array, [](const SchemaJson& v, long double x) { return length_of(v) >= x; }},
    {"maxItems", &SchemaJson::is_array, [](const SchemaJson& v, long double x) { return length_of(v) <= x; }},
});

bool is_about_strings(const std::string& key) { return key == "pattern" || key == "format"; }

bool is_about_lists(const std::string& key) { return key == "items" || key == "prefixItems" || key == "uniqueItems"; }

Check check_of(const std::string& key, const SchemaJson& limit, const std::string& at) {
  const auto row = std::ranges::find(kAssertions, key, &Assertion::key);
  if (row != kAssertions.end()) {
    const long double number = number_of(limit, at);
    return [row, number](const SchemaJson& v) { return !(v.*row->is_about)() || row->holds(v, number); };
  }
  if (is_about_strings(key)) {
    const Check matches = pattern_check(key, limit, at);
    return [matches](const SchemaJson& v) { return !v.is_string() || matches(v); };
  }
  return [key, at](const SchemaJson& v) {
    const bool concerns = is_about_lists(key) ? v.is_array() : v.is_object();
    if (concerns) refuse_schema(at, "beside a list or an object in 'enum' or 'const' is not supported");
    return true;
  };
}

}  // namespace

std::vector<SchemaJson> valid_values(std::vector<SchemaJson> values, const SchemaJson& schema, const std::string& at) {
  for (const auto& [key, limit] : schema.items()) {
    if (key == "enum" || key == "const" || key == "type" || is_annotation(key)) continue;
    const Check check = check_of(key, limit, below(at, key));
    std::erase_if(values, [&check](const SchemaJson& value) { return !check(value); });
  }
  return values;
}

}  // namespace carat
