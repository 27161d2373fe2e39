// JSON as a schema holds it: its values, its places, and what is refused there.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

using SchemaJson = nlohmann::ordered_json;

// "/properties/a: why", the place within the document; the root is "the schema".
[[noreturn]] void refuse_schema(const std::string& at, const std::string& why);

// A place below another.
std::string below(const std::string& at, std::string_view key);

// Keywords that say nothing about what is valid.
bool is_annotation(std::string_view keyword);

// The same text for all values that JSON Schema calls equal: {"a":1,"b":2} and {"b":2,"a":1.0}.
std::string spelling(const SchemaJson& value);

// What JSON Schema calls its type; numbers without a fraction are integers.
std::string type_of(const SchemaJson& value);

// A `pattern` for the strings that match both; it cannot be spelled in JSON, so no schema that was read has such a one.
SchemaJson both_patterns(const SchemaJson& a, const SchemaJson& b);

// Those that a `pattern` stands for. Throws BadConstraint if it is no string.
std::vector<std::string> patterns_of(const SchemaJson& pattern, const std::string& at);

// How many values it holds, itself among them; a long text counts as several.
std::size_t values_in(const SchemaJson& value);

}  // namespace carat
