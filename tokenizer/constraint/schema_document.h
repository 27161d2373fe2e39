// A JSON Schema as it was read: its references resolved, its conjunctions merged, before it becomes a grammar.
#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/constraint/schema_json.h"

namespace carat {

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

  // Whether one of them equals the value.
  bool lists(const SchemaJson& values, const SchemaJson& value, const std::string& at);

  // Whether it is certain that no value is valid by both.
  bool disjoint(const SchemaJson& a, const SchemaJson& b, const std::string& at, int depth = 0);

  // Counts work, which merging can multiply: values copied or looked at, a schema as some. Throws BadConstraint when it
  // is too much.
  void step(const std::string& at, std::size_t values = kStep);

 private:
  static constexpr std::size_t kStep = 100;

  void merge_into(SchemaJson& into, const SchemaJson& other, const std::string& at);
  void merge_keyword(SchemaJson& into, const std::string& key, const SchemaJson& value, const std::string& at);
  void merge_items(SchemaJson& into, const SchemaJson& other, const std::string& at);
  std::optional<std::map<std::string, std::string>> values_of(const SchemaJson& schema, const std::string& at);
  bool kept_apart_by_property(const SchemaJson& a, const SchemaJson& b, const std::string& at, int depth);

  SchemaJson root_;
  std::size_t steps_ = 0;
};

}  // namespace carat
