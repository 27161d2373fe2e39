#include "tokenizer/constraint/schema_document.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <vector>

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

constexpr std::size_t kMaxText = std::size_t{256} << 10;
constexpr int kMaxNesting = 64;
constexpr std::size_t kMaxKeys = 10'000;       // looking one up takes a walk over its neighbours
constexpr int kMaxReferences = 32;             // that lead to each other
constexpr std::size_t kMaxSteps = 10'000'000;  // values copied or looked at: a second or so
constexpr std::size_t kSpelling = 16;          // what it costs to spell a value, of these
constexpr std::size_t kPatterns = 64;          // what it costs to compare patterns, of these
constexpr std::size_t kNames = 16;             // that are compared in the time of one

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escapes = text[i] == '%' && i + 2 < text.size() &&
                         std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                         std::isxdigit(static_cast<unsigned char>(text[i + 2]));
    if (escapes) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool contains(const SchemaJson& list, const SchemaJson& value) { return std::ranges::find(list, value) != list.end(); }

std::set<std::string> spellings_of(const SchemaJson& list) {
  std::set<std::string> spellings;
  for (const SchemaJson& value : list) spellings.insert(spelling(value));
  return spellings;
}

// Null if the schema does not have it.
const SchemaJson* find(const SchemaJson& schema, const char* keyword) {
  const auto found = schema.find(keyword);
  return found == schema.end() ? nullptr : &*found;
}

std::size_t size_of(const SchemaJson& schema, const char* keyword) {
  const SchemaJson* const found = find(schema, keyword);
  return found == nullptr ? 0 : found->size();
}

// The types that a schema allows, by name; all if it does not say.
std::set<std::string> types_of(const SchemaJson& schema) {
  std::set<std::string> types;
  const auto type = schema.find("type");
  if (type == schema.end()) return {"null", "boolean", "object", "array", "number", "string", "integer"};
  if (type->is_string()) types.insert(type->get<std::string>());
  if (type->is_array()) {
    for (const SchemaJson& name : *type) {
      if (name.is_string()) types.insert(name.get<std::string>());
    }
  }
  if (types.contains("number")) types.insert("integer");
  return types;
}

bool requires_property(const SchemaJson& schema, const std::string& name) {
  const SchemaJson* const required = find(schema, "required");
  return required != nullptr && required->is_array() && contains(*required, name);
}

const SchemaJson* property(const SchemaJson& schema, const std::string& name) {
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return nullptr;
  const auto found = properties->find(name);
  return found == properties->end() ? nullptr : &*found;
}

SchemaJson intersection(const SchemaJson& a, const SchemaJson& b) {
  const std::set<std::string> others = spellings_of(b);
  SchemaJson both = SchemaJson::array();
  for (const SchemaJson& value : a) {
    if (others.contains(spelling(value))) both.push_back(value);
  }
  return both;
}

// A schema for what is valid by both, which are merged where they are used.
SchemaJson both_of(SchemaJson a, const SchemaJson& b) {
  if (a == b) return a;
  if (a.is_object() && a.size() == 1 && find(a, "allOf") != nullptr && a["allOf"].is_array()) {
    a["allOf"].push_back(b);
    return a;
  }
  return SchemaJson{{"allOf", SchemaJson::array({std::move(a), b})}};
}

SchemaJson as_list(const SchemaJson& value) { return value.is_array() ? value : SchemaJson::array({value}); }

SchemaJson common_types(const SchemaJson& a, const SchemaJson& b) {
  SchemaJson both = intersection(as_list(a), as_list(b));
  const auto narrows = [&both](const SchemaJson& from, const SchemaJson& to) {
    if (contains(as_list(from), "integer") && contains(as_list(to), "number") && !contains(both, "integer")) {
      both.push_back("integer");
    }
  };
  narrows(a, b);
  narrows(b, a);
  return both;
}

}  // namespace

SchemaDocument::SchemaDocument(std::string_view text) {
  if (text.size() > kMaxText) throw BadConstraint("longer than " + std::to_string(kMaxText) + " bytes");
  std::vector<std::set<std::string>> keys;  // of the objects around
  std::size_t count = 0;
  const auto check = [&](int depth, SchemaJson::parse_event_t event, SchemaJson& parsed) {
    using Event = SchemaJson::parse_event_t;
    if (depth > kMaxNesting) throw BadConstraint("nested more than " + std::to_string(kMaxNesting) + " deep");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event != Event::key) return true;
    if (++count > kMaxKeys) throw BadConstraint("more than " + std::to_string(kMaxKeys) + " keys");
    const auto key = parsed.get<std::string>();
    if (!keys.back().insert(key).second) throw BadConstraint("the key '" + key + "' occurs twice in one object");
    return true;
  };
  try {
    root_ = SchemaJson::parse(text, check);
  } catch (const nlohmann::json::exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    const std::string message = first_line(e.what());
    const std::size_t reason = message.find("] ");
    throw BadConstraint("not JSON: " + (reason == std::string::npos ? message : message.substr(reason + 2)));
  }
}

void SchemaDocument::step(const std::string& at, std::size_t values) {
  steps_ += values;
  if (steps_ > kMaxSteps) refuse_schema(at, "the schema is too large");
}

const SchemaJson& SchemaDocument::resolve(const SchemaJson& reference, const std::string& at) const {
  const std::string place = below(at, "$ref");
  if (!reference.is_string()) refuse_schema(place, "must be a string");
  const auto& text = reference.get_ref<const std::string&>();
  if (text != "#" && !text.starts_with("#/")) {
    refuse_schema(place, "'" + text + "': only references within the document (#/…) are supported");
  }
  try {
    return root_.at(SchemaJson::json_pointer(percent_decoded(text.substr(1))));
  } catch (const nlohmann::json::exception&) {
    refuse_schema(place, "'" + text + "' does not exist");
  }
}

SchemaJson SchemaDocument::expand(const SchemaJson& schema, const std::string& at, int depth) {
  step(at);
  if (depth > kMaxReferences) refuse_schema(at, "references that lead to each other without end");
  if (!schema.is_object()) {
    if (!schema.is_boolean()) refuse_schema(at, "a schema is an object, true or false");
    return schema;
  }
  step(at, values_in(schema));
  SchemaJson whole = schema;
  whole.erase("$ref");
  whole.erase("allOf");
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    SchemaJson target = expand(resolve(*reference, at), at, depth + 1);
    merge_into(target, whole, at);
    whole = std::move(target);
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array() || all->empty()) refuse_schema(below(at, "allOf"), "must be a list of schemas");
    for (const SchemaJson& one : *all) merge_into(whole, expand(one, at, depth + 1), at);
  }
  return whole;
}

SchemaJson SchemaDocument::merge(SchemaJson a, const SchemaJson& b, const std::string& at) {
  step(at, values_in(a));
  merge_into(a, b, at);
  return a;
}

void SchemaDocument::merge_into(SchemaJson& into, const SchemaJson& other, const std::string& at) {
  const std::size_t names = into.size() * other.size() + size_of(into, "properties") * size_of(other, "properties");
  step(at, kStep + values_in(other) + names / kNames);
  if (into == SchemaJson(false) || other == SchemaJson(true)) return;
  if (into == SchemaJson(true) || other == SchemaJson(false)) {
    into = other;
    return;
  }
  // What `additionalProperties` forbids depends on the properties beside it, not on those that are merged in.
  const auto limits = [](const SchemaJson& one, const SchemaJson& another) {
    const SchemaJson* const additional = find(one, "additionalProperties");
    if (additional == nullptr || *additional == SchemaJson(true)) return false;
    const SchemaJson* const properties = find(another, "properties");
    if (properties == nullptr || !properties->is_object()) return false;
    return std::ranges::any_of(properties->items(),
                               [&one](const auto& item) { return property(one, item.key()) == nullptr; });
  };
  if (limits(into, other) || limits(other, into)) {
    refuse_schema(at, "'additionalProperties' beside properties of another schema cannot be combined");
  }
  const bool has_prefix = into.contains("prefixItems") || other.contains("prefixItems");
  if (has_prefix) merge_items(into, other, at);
  for (const auto& [key, value] : other.items()) {
    if (has_prefix && (key == "items" || key == "prefixItems")) continue;
    merge_keyword(into, key, value, at);
  }
  const SchemaJson* const type = find(into, "type");
  if (type != nullptr && type->is_array() && type->empty()) into = false;
}

// Place by place, since `items` is about the places behind the prefix beside it, not about those behind a longer one.
void SchemaDocument::merge_items(SchemaJson& into, const SchemaJson& other, const std::string& at) {
  const auto prefix_of = [&at](const SchemaJson& schema) {
    const SchemaJson* const prefix = find(schema, "prefixItems");
    if (prefix == nullptr) return SchemaJson::array();
    if (!prefix->is_array()) refuse_schema(below(at, "prefixItems"), "must be a list of schemas");
    return *prefix;
  };
  const SchemaJson mine = prefix_of(into), its = prefix_of(other);
  const auto schema_at = [](const SchemaJson& schema, const SchemaJson& prefix, std::size_t i) {
    return i < prefix.size() ? &prefix[i] : find(schema, "items");
  };
  const auto merged_at = [&](std::size_t i) -> SchemaJson {
    const SchemaJson* const a = schema_at(into, mine, i);
    const SchemaJson* const b = schema_at(other, its, i);
    step(at, (a == nullptr ? 0 : values_in(*a)) + (b == nullptr ? 0 : values_in(*b)));
    if (a == nullptr || b == nullptr) return a == nullptr ? *b : *a;
    return both_of(*a, *b);
  };
  SchemaJson prefix = SchemaJson::array();
  const std::size_t length = std::max(mine.size(), its.size());
  while (prefix.size() < length) prefix.push_back(merged_at(prefix.size()));
  if (into.contains("items") || other.contains("items")) into["items"] = merged_at(length);
  into["prefixItems"] = std::move(prefix);
}

void SchemaDocument::merge_keyword(SchemaJson& into, const std::string& key, const SchemaJson& value,
                                   const std::string& at) {
  const auto found = into.find(key);
  if (found == into.end()) {
    into[key] = value;
    return;
  }
  SchemaJson& known = *found;
  if (known == value || is_annotation(key)) return;
  const bool both_lists = known.is_array() && value.is_array();
  if (both_lists || key == "const") step(at, kSpelling * (values_in(known) + values_in(value)));
  const bool both_numbers = known.is_number() && value.is_number();
  if (key == "type") {
    known = common_types(known, value);
  } else if (key == "enum" && both_lists) {
    known = intersection(known, value);
  } else if (key == "required" && both_lists) {
    std::set<std::string> names = spellings_of(known);
    for (const SchemaJson& name : value) {
      if (names.insert(spelling(name)).second) known.push_back(name);
    }
  } else if (key == "properties" && known.is_object() && value.is_object()) {
    for (const auto& [name, schema] : value.items()) {
      const auto same = known.find(name);
      if (same == known.end()) {
        known[name] = schema;
      } else {
        *same = both_of(std::move(*same), schema);
      }
    }
  } else if (key == "items") {
    known = both_of(std::move(known), value);
  } else if ((key.starts_with("min") || key == "exclusiveMinimum") && both_numbers) {
    if (known < value) known = value;
  } else if ((key.starts_with("max") || key == "exclusiveMaximum") && both_numbers) {
    if (value < known) known = value;
  } else if (key == "pattern" && known.is_string() && value.is_string()) {
    step(at, kPatterns * (values_in(known) + values_in(value)));
    known = both_patterns(known, value);
  } else if (key != "const" || spelling(known) != spelling(value)) {
    refuse_schema(at, "two schemas with a different '" + key + "' cannot be combined");
  }
}

bool SchemaDocument::lists(const SchemaJson& values, const SchemaJson& value, const std::string& at) {
  step(at, kSpelling * (values_in(values) + values_in(value)));
  const std::string sought = spelling(value);
  return std::ranges::any_of(values, [&sought](const SchemaJson& one) { return spelling(one) == sought; });
}

bool SchemaDocument::disjoint(const SchemaJson& a_given, const SchemaJson& b_given, const std::string& at, int depth) {
  if (depth > 4) return false;
  const SchemaJson a = expand(a_given, at), b = expand(b_given, at);
  if (a == SchemaJson(false) || b == SchemaJson(false)) return true;
  if (!a.is_object() || !b.is_object()) return false;
  std::set<std::string> types_a = types_of(a), types_b = types_of(b), both;
  std::ranges::set_intersection(types_a, types_b, std::inserter(both, both.begin()));
  if (both.empty()) return true;

  const auto values_a = values_of(a, at), values_b = values_of(b, at);
  const auto cannot_be = [](const auto& values, const auto& other, const std::set<std::string>& types) {
    return std::ranges::all_of(values, [&](const auto& value) {
      const bool other_value = other && !other->contains(value.first);
      return other_value || !types.contains(value.second);
    });
  };
  if (values_a && cannot_be(*values_a, values_b, types_b)) return true;
  if (values_b && cannot_be(*values_b, values_a, types_a)) return true;
  return both == std::set<std::string>{"object"} && kept_apart_by_property(a, b, at, depth);
}

// The values that a schema lists, if it does: how they are spelled, and their types.
std::optional<std::map<std::string, std::string>> SchemaDocument::values_of(const SchemaJson& schema,
                                                                            const std::string& at) {
  const SchemaJson* const value = find(schema, "const");
  const SchemaJson* const values = find(schema, "enum");
  std::map<std::string, std::string> found;
  if (value != nullptr) {
    step(at, kSpelling * values_in(*value));
    found.emplace(spelling(*value), type_of(*value));
  } else if (values != nullptr && values->is_array()) {
    step(at, kSpelling * values_in(*values));
    for (const SchemaJson& one : *values) found.emplace(spelling(one), type_of(one));
  } else {
    return std::nullopt;
  }
  return found;
}

// By a property that both require, with schemas that exclude each other; or that one requires and the other forbids.
bool SchemaDocument::kept_apart_by_property(const SchemaJson& a, const SchemaJson& b, const std::string& at,
                                            int depth) {
  const auto forbids = [](const SchemaJson& schema, const std::string& name) {
    const auto additional = schema.find("additionalProperties");
    return additional != schema.end() && *additional == SchemaJson(false) && property(schema, name) == nullptr;
  };
  const auto by_required_of = [&](const SchemaJson& one, const SchemaJson& other) {
    const SchemaJson* const required = find(one, "required");
    if (required == nullptr || !required->is_array()) return false;
    const std::size_t names = size_of(one, "properties") + size_of(other, "properties") + size_of(other, "required");
    return std::ranges::any_of(*required, [&](const SchemaJson& name) {
      step(at, 1 + names / kNames);
      if (!name.is_string()) return false;
      const auto& text = name.get_ref<const std::string&>();
      if (forbids(other, text)) return true;
      const SchemaJson* const here = property(one, text);
      const SchemaJson* const there = property(other, text);
      return here != nullptr && there != nullptr && requires_property(other, text) &&
             disjoint(*here, *there, at, depth + 1);
    });
  };
  return by_required_of(a, b) || by_required_of(b, a);
}

}  // namespace carat
