// A JSON Schema as it was read: its references resolved, its conjunctions merged, before it becomes a grammar.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace carat {

using SchemaJson = nlohmann::ordered_json;

// "/properties/a: why", the place within the document; the root is "the schema".
[[noreturn]] void refuse_schema(const std::string& at, const std::string& why);

// A place below another.
std::string below(const std::string& at, std::string_view key);

// Keywords that say nothing about what is valid.
bool is_annotation(std::string_view keyword);

class SchemaDocument {
 public:
  // Throws BadConstraint: no JSON, nested too deep, too large, or with a key twice.
  explicit SchemaDocument(std::string_view text);

  const SchemaJson& root() const { return root_; }

  // What "#/$defs/a" refers to. Throws BadConstraint.
  const SchemaJson& resolve(const SchemaJson& reference, const std::string& at) const;

  // The same schema without $ref and allOf at its top. Throws BadConstraint where they cannot be merged.
  SchemaJson expand(const SchemaJson& schema, const std::string& at, int depth = 0);

  // A schema for what is valid by both; both are expanded.
  SchemaJson merge(SchemaJson a, const SchemaJson& b, const std::string& at);

  // Whether it is certain that no value is valid by both.
  bool disjoint(const SchemaJson& a, const SchemaJson& b, const std::string& at, int depth = 0);

  // Counts work, which merging can multiply. Throws BadConstraint when it is too much.
  void step(const std::string& at);

 private:
  void merge_keyword(SchemaJson& into, const std::string& key, const SchemaJson& value, const std::string& at);
  bool kept_apart_by_property(const SchemaJson& a, const SchemaJson& b, const std::string& at, int depth);

  SchemaJson root_;
  std::size_t steps_ = 0;
};

}  // namespace carat
