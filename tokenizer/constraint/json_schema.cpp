// JSON Schema, draft 2020-12, as a grammar (json-schema.org, "Validation").
#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "tokenizer/constraint/constraint.h"
#include "tokenizer/constraint/json_grammar.h"
#include "tokenizer/constraint/number_range.h"
#include "tokenizer/constraint/schema_document.h"
#include "tokenizer/constraint/schema_strings.h"
#include "tokenizer/constraint/schema_values.h"

namespace carat {
namespace {

constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxCopied = 1000;  // properties, over all ways to begin an object

// The keywords that are met, and the type that each is about: none, all types.
struct Keyword {
  std::string_view name, type;
};
constexpr auto kKeywords = std::to_array<Keyword>({
    {"type", ""},
    {"enum", ""},
    {"const", ""},
    {"anyOf", ""},
    {"oneOf", ""},
    {"allOf", ""},
    {"$ref", ""},
    {"properties", "object"},
    {"required", "object"},
    {"additionalProperties", "object"},
    {"items", "array"},
    {"prefixItems", "array"},
    {"minItems", "array"},
    {"maxItems", "array"},
    {"uniqueItems", "array"},
    {"minimum", "number"},
    {"maximum", "number"},
    {"exclusiveMinimum", "number"},
    {"exclusiveMaximum", "number"},
    {"minLength", "string"},
    {"maxLength", "string"},
    {"pattern", "string"},
    {"format", "string"},
});

constexpr auto kTypes =
    std::to_array<std::string_view>({"null", "boolean", "object", "array", "number", "integer", "string"});

class SchemaGrammar {
 public:
  explicit SchemaGrammar(std::string_view text) : document_(text) {}

  Automaton build() {
    grammar().define(JsonGrammar::kRoot, add(document_.root(), "", 0));
    while (!pending_.empty()) {
      const auto [rule, schema, at] = pending_.front();
      pending_.pop_front();
      grammar().define(rule, add(*schema, at, 0));
    }
    return Automaton(grammar());
  }

 private:
  struct Member {
    ExpressionId written;
    bool required;
  };
  struct Pending {
    RuleId rule;
    const SchemaJson* schema;
    std::string at;
  };

  Grammar& grammar() { return json_.grammar(); }

  ExpressionId add(const SchemaJson& schema, const std::string& at, int depth) {
    document_.step(at);
    if (depth > kMaxDepth) refuse_schema(at, "nested too deep");
    try {
      return add_checked(schema, at, depth);
    } catch (const SchemaJson::exception& e) {  // of a type that no check above has foreseen
      refuse_schema(at, e.what());
    }
  }

  ExpressionId add_checked(const SchemaJson& schema, const std::string& at, int depth) {
    if (schema.is_boolean()) return schema.get<bool>() ? json_.value() : grammar().impossible();
    if (!schema.is_object()) refuse_schema(at, "a schema is an object, true or false");
    check_keywords(schema, at);
    if (schema.contains("$ref") && is_alone(schema, "$ref")) return add_reference(schema["$ref"], at);
    if (schema.contains("$ref") || schema.contains("allOf")) return add(document_.expand(schema, at), at, depth + 1);
    if (schema.contains("anyOf")) return add_alternatives(schema, "anyOf", at, depth);
    if (schema.contains("oneOf")) return add_alternatives(schema, "oneOf", at, depth);
    if (schema.contains("enum") || schema.contains("const")) return add_values(schema, at);
    std::vector<ExpressionId> ways;
    const std::set<std::string> types = types_of(schema, at);
    for (const std::string& type : types) {
      if (type == "integer" && types.contains("number")) continue;
      ways.push_back(add_type(schema, type, at, depth));
    }
    return grammar().choice(std::move(ways));
  }

  void check_keywords(const SchemaJson& schema, const std::string& at) {
    for (const auto& [key, value] : schema.items()) {
      if (key == "$id" && !at.empty()) refuse_schema(at, "'$id' below the root is not supported");
      const bool known = is_annotation(key) || std::ranges::find(kKeywords, key, &Keyword::name) != kKeywords.end();
      if (!known) refuse_schema(at, "'" + key + "' is not supported");
    }
    if (schema.contains("uniqueItems") && schema["uniqueItems"] != SchemaJson(false)) {
      refuse_schema(at, "'uniqueItems' is not supported");
    }
  }

  static bool is_alone(const SchemaJson& schema, std::string_view keyword) {
    return std::ranges::all_of(
        schema.items(), [keyword](const auto& item) { return item.key() == keyword || is_annotation(item.key()); });
  }

  ExpressionId add_reference(const SchemaJson& reference, const std::string& at) {
    const SchemaJson& target = document_.resolve(reference, at);
    const auto [place, is_new] = references_.try_emplace(&target);
    if (is_new) {
      const auto name = reference.get<std::string>();
      place->second = grammar().declare("'" + name + "'", true);
      pending_.push_back({place->second, &target, name.substr(1)});
    }
    return grammar().use(place->second);
  }

  ExpressionId add_alternatives(const SchemaJson& schema, const std::string& key, const std::string& at, int depth) {
    const std::string place = below(at, key);
    const SchemaJson& alternatives = schema[key];
    if (!alternatives.is_array() || alternatives.empty()) refuse_schema(place, "must be a list of schemas");
    if (key == "oneOf") check_disjoint(alternatives, place);
    const bool alone = is_alone(schema, key);
    SchemaJson rest = schema;
    rest.erase(key);
    std::vector<ExpressionId> ways;
    for (std::size_t i = 0; i < alternatives.size(); ++i) {
      const std::string here = below(place, std::to_string(i));
      if (alone) {
        ways.push_back(add(alternatives[i], here, depth + 1));
      } else {
        const SchemaJson expanded = document_.expand(alternatives[i], here);
        if (expanded.is_object()) check_keywords(expanded, here);
        ways.push_back(add(document_.merge(rest, expanded, here), here, depth + 1));
      }
    }
    return grammar().choice(std::move(ways));
  }

  void check_disjoint(const SchemaJson& alternatives, const std::string& at) {
    for (std::size_t i = 0; i < alternatives.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (document_.disjoint(alternatives[k], alternatives[i], at)) continue;
        refuse_schema(at, "alternatives " + std::to_string(k) + " and " + std::to_string(i) +
                              " may both hold; a required property with a 'const' would tell them apart, or use anyOf");
      }
    }
  }

  // --- values

  ExpressionId add_values(const SchemaJson& schema, const std::string& at) {
    SchemaJson values = SchemaJson::array();
    if (schema.contains("enum")) {
      if (!schema["enum"].is_array()) refuse_schema(below(at, "enum"), "must be a list");
      values = schema["enum"];
    }
    if (schema.contains("const")) {
      const bool listed = values.empty() || document_.lists(values, schema["const"], at);
      values = listed && (!schema.contains("enum") || !values.empty()) ? SchemaJson::array({schema["const"]})
                                                                       : SchemaJson::array();
    }
    const std::set<std::string> types = schema.contains("type") ? types_of(schema, at) : std::set<std::string>();
    std::vector<ExpressionId> ways;
    for (const SchemaJson& value : valid_values(document_, {values.begin(), values.end()}, schema, at)) {
      const bool fits =
          types.empty() || types.contains(type_of(value)) || (type_of(value) == "integer" && types.contains("number"));
      if (fits) ways.push_back(add_literal(value));
    }
    if (ways.empty()) refuse_schema(at, "no value of 'enum' or 'const' is valid");
    return grammar().choice(std::move(ways));
  }

  ExpressionId add_literal(const SchemaJson& value) {
    if (value.is_string()) return json_.bytes(JsonGrammar::quoted(value.get_ref<const std::string&>()));
    if (!value.is_structured()) return json_.bytes(value.dump());
    std::vector<ExpressionId> parts;
    for (const auto& [key, item] : value.items()) {
      const ExpressionId literal = add_literal(item);
      const ExpressionId part =
          value.is_object() ? json_.member(json_.bytes(JsonGrammar::quoted(key)), literal) : literal;
      parts.push_back(parts.empty() ? part : json_.after_comma(part));
    }
    const bool is_object = value.is_object();
    if (parts.empty()) return json_.bytes(is_object ? "{}" : "[]");
    return json_.enclosed(is_object ? "{" : "[", grammar().sequence(std::move(parts)), false, is_object ? "}" : "]");
  }

  // --- types

  // What `type` says; without it the types that other keywords are about, or all.
  std::set<std::string> types_of(const SchemaJson& schema, const std::string& at) {
    std::set<std::string> types;
    if (const auto type = schema.find("type"); type != schema.end()) {
      const SchemaJson list = type->is_array() ? *type : SchemaJson::array({*type});
      for (const SchemaJson& name : list) {
        const bool known = name.is_string() && std::ranges::find(kTypes, name.get<std::string>()) != kTypes.end();
        if (!known) refuse_schema(below(at, "type"), name.dump() + " is not a type");
        types.insert(name.get<std::string>());
      }
      return types;
    }
    for (const Keyword& keyword : kKeywords) {
      if (!keyword.type.empty() && schema.contains(keyword.name)) types.emplace(keyword.type);
    }
    if (types.empty()) types = {"null", "boolean", "object", "array", "number", "string"};
    return types;
  }

  ExpressionId add_type(const SchemaJson& schema, const std::string& type, const std::string& at, int depth) {
    if (type == "null") return json_.bytes("null");
    if (type == "boolean") return json_.boolean();
    if (type == "object") return add_object(schema, at, depth);
    if (type == "array") return add_array(schema, at, depth);
    if (type == "string") {
      const auto [min, max] = counts(schema, "minLength", "maxLength", at);
      return add_strings(json_, schema, min, max, at);
    }
    return add_number(schema, type == "integer", at);
  }

  std::optional<std::uint32_t> count(const SchemaJson& schema, const char* key, const std::string& at) {
    const auto value = schema.find(key);
    if (value == schema.end()) return std::nullopt;
    const double number = value->is_number() ? value->get<double>() : -1;
    if (!(number >= 0) || number != std::floor(number))
      refuse_schema(below(at, key), "must be a whole number, 0 or more");
    if (number > Grammar::kMaxRepeat) {
      refuse_schema(below(at, key), "is more than " + std::to_string(Grammar::kMaxRepeat));
    }
    return static_cast<std::uint32_t>(number);
  }

  // The least and the most of something.
  std::pair<std::uint32_t, std::uint32_t> counts(const SchemaJson& schema, const char* min_key, const char* max_key,
                                                 const std::string& at) {
    const std::uint32_t min = count(schema, min_key, at).value_or(0);
    const std::uint32_t max = count(schema, max_key, at).value_or(kNoLimit);
    if (min > max) refuse_schema(at, std::string("'") + min_key + "' is above '" + max_key + "'");
    return {min, max};
  }

  ExpressionId add_number(const SchemaJson& schema, bool is_integer, const std::string& at) {
    NumberRange range;
    add_bound(range.least, schema, "minimum", false, at);
    add_bound(range.least, schema, "exclusiveMinimum", true, at);
    add_bound(range.most, schema, "maximum", false, at);
    add_bound(range.most, schema, "exclusiveMaximum", true, at);
    if (!range.least && !range.most) return is_integer ? json_.integer() : json_.number();
    return is_integer ? add_integers(grammar(), range) : add_numbers(grammar(), range);
  }

  void add_bound(std::optional<Bound>& bound, const SchemaJson& schema, const char* key, bool excluded,
                 const std::string& at) {
    const auto value = schema.find(key);
    if (value == schema.end()) return;
    if (!value->is_number()) refuse_schema(below(at, key), "must be a number");
    if (bound)
      refuse_schema(at, std::string("'") + key + "' beside the same bound without 'exclusive' is not supported");
    try {
      bound = Bound{parse_decimal(value->dump()), excluded};
    } catch (const BadConstraint& e) {
      refuse_schema(below(at, key), e.what());
    }
  }

  ExpressionId add_object(const SchemaJson& schema, const std::string& at, int depth);
  ExpressionId add_members(const std::vector<Member>& members, std::optional<ExpressionId> other);
  ExpressionId add_array(const SchemaJson& schema, const std::string& at, int depth);
  ExpressionId add_items(const std::vector<ExpressionId>& first, std::optional<ExpressionId> others, std::uint32_t min,
                         std::uint32_t max);
  ExpressionId own_rule(std::string name, ExpressionId body) {
    const RuleId rule = grammar().declare(std::move(name), true);
    grammar().define(rule, body);
    return grammar().use(rule);
  }

  SchemaDocument document_;
  JsonGrammar json_;
  std::unordered_map<const SchemaJson*, RuleId> references_;
  std::deque<Pending> pending_;
};

std::set<std::string> required_names(const SchemaJson& schema, const std::string& at) {
  std::set<std::string> names;
  const auto required = schema.find("required");
  if (required == schema.end()) return names;
  if (!required->is_array()) refuse_schema(below(at, "required"), "must be a list of names");
  for (const SchemaJson& name : *required) {
    if (!name.is_string()) refuse_schema(below(at, "required"), "must be a list of names");
    names.insert(name.get<std::string>());
  }
  return names;
}

ExpressionId SchemaGrammar::add_object(const SchemaJson& schema, const std::string& at, int depth) {
  const SchemaJson none = SchemaJson::object();
  const SchemaJson& properties = schema.contains("properties") ? schema["properties"] : none;
  if (!properties.is_object()) refuse_schema(below(at, "properties"), "must be an object");
  std::set<std::string> required = required_names(schema, at);
  const bool says_others = schema.contains("additionalProperties");
  const SchemaJson others = says_others ? schema["additionalProperties"] : SchemaJson(true);
  const std::string others_at = below(at, "additionalProperties");

  std::vector<Member> members;
  std::vector<std::string> names;
  const auto add_member = [&](const std::string& name, const SchemaJson& value, const std::string& place, bool must) {
    names.push_back(name);
    if (value == SchemaJson(false) && !must) return;
    const ExpressionId key = json_.bytes(JsonGrammar::quoted(name));
    members.push_back({own_rule("property '" + name + "'", json_.member(key, add(value, place, depth + 1))), must});
  };
  for (const auto& [name, value] : properties.items()) {
    add_member(name, value, below(below(at, "properties"), name), required.erase(name) > 0);
  }
  for (const std::string& name : required) {
    if (others == SchemaJson(false)) refuse_schema(below(at, "required"), "'" + name + "' is not among the properties");
    add_member(name, others, others_at, true);
  }

  const bool takes_others = others != SchemaJson(false) && (says_others || members.empty());
  std::optional<ExpressionId> other;
  if (takes_others) {
    if (names.empty() && others == SchemaJson(true)) return json_.object();
    other = own_rule("another property", json_.member(json_.string_except(names), add(others, others_at, depth + 1)));
  }

  return add_members(members, other);
}

// One alternative for each member that may come first, and what may follow it.
ExpressionId SchemaGrammar::add_members(const std::vector<Member>& members, std::optional<ExpressionId> other) {
  const ExpressionId more_others = other ? grammar().repeat(json_.after_comma(*other), 0) : grammar().nothing();
  const auto first_required = std::ranges::find_if(members, &Member::required);
  const bool may_be_empty = first_required == members.end();
  const auto beginnings = static_cast<std::size_t>(first_required - members.begin()) + (may_be_empty ? 0 : 1);
  const auto next = [&](std::size_t i) {
    const ExpressionId part = json_.after_comma(members[i].written);
    return members[i].required ? part : grammar().optional(part);
  };

  // What follows is copied into each alternative while that is little; else the alternatives share it.
  std::vector<ExpressionId> shared;
  if (beginnings * members.size() > kMaxCopied) {
    shared.assign(members.size() + 1, more_others);
    for (std::size_t i = members.size(); i-- > 0;) {
      shared[i] = own_rule("the rest of an object", grammar().sequence({next(i), shared[i + 1]}));
    }
  }
  std::vector<ExpressionId> ways;
  for (std::size_t first = 0; first < beginnings; ++first) {
    std::vector<ExpressionId> parts{members[first].written};
    for (std::size_t i = first + 1; i < members.size() && shared.empty(); ++i) parts.push_back(next(i));
    parts.push_back(shared.empty() ? more_others : shared[first + 1]);
    ways.push_back(grammar().sequence(std::move(parts)));
  }
  if (other && may_be_empty) ways.push_back(grammar().sequence({*other, more_others}));
  if (ways.empty()) return json_.bytes("{}");
  return json_.enclosed("{", grammar().choice(std::move(ways)), may_be_empty, "}");
}

ExpressionId SchemaGrammar::add_array(const SchemaJson& schema, const std::string& at, int depth) {
  const auto [min, max] = counts(schema, "minItems", "maxItems", at);
  if (max == 0) return json_.bytes("[]");
  std::vector<ExpressionId> first;
  if (const auto prefix = schema.find("prefixItems"); prefix != schema.end()) {
    const std::string place = below(at, "prefixItems");
    if (!prefix->is_array() || prefix->empty()) refuse_schema(place, "must be a list of schemas");
    for (std::size_t i = 0; i < prefix->size() && i < max; ++i) {
      first.push_back(own_rule("an item", add((*prefix)[i], below(place, std::to_string(i)), depth + 1)));
    }
  }
  // Beside prefixItems, others are written only where they are asked for.
  std::optional<ExpressionId> others;
  const SchemaJson items = schema.contains("items") ? schema["items"] : SchemaJson(first.empty() || min > first.size());
  if (items.is_array()) refuse_schema(below(at, "items"), "a list of schemas is 'prefixItems' since draft 2020-12");
  if (items != SchemaJson(false) && max > first.size()) {
    others = own_rule("an item", add(items, below(at, "items"), depth + 1));
  }
  if (!others && min > first.size()) refuse_schema(at, "'minItems' is more than there are schemas for");
  if (first.empty() && !others) return json_.bytes("[]");
  return json_.enclosed("[", add_items(first, others, min, max), min == 0, "]");
}

// One item or more, with commas.
ExpressionId SchemaGrammar::add_items(const std::vector<ExpressionId>& first, std::optional<ExpressionId> others,
                                      std::uint32_t min, std::uint32_t max) {
  const auto count = static_cast<std::uint32_t>(std::max<std::size_t>(first.size(), 1));
  const ExpressionId head = first.empty() ? *others : first[0];
  ExpressionId tail = grammar().nothing();
  if (others) {
    const std::uint32_t most = max == kNoLimit ? kNoLimit : max - count;
    tail = grammar().repeat(json_.after_comma(*others), min > count ? min - count : 0, most);
  }
  for (std::size_t i = first.size(); i-- > 1;) {
    tail = grammar().sequence({json_.after_comma(first[i]), tail});
    if (i >= min) tail = grammar().optional(tail);
  }
  return grammar().sequence({head, tail});
}

}  // namespace

Automaton json_schema_constraint(std::string_view text) { return SchemaGrammar(text).build(); }

}  // namespace carat
