#include "tokenizer/constraint/schema_document.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <optional>
#include <set>
#include <vector>

#include "tokenizer/constraint/bad_constraint.h"

namespace carat {
namespace {

constexpr std::size_t kMaxText = std::size_t{256} << 10;
constexpr int kMaxNesting = 64;
constexpr std::size_t kMaxKeys = 10'000;  // looking one up takes a walk over its neighbours
constexpr int kMaxReferences = 32;        // that lead to each other
constexpr std::size_t kMaxSteps = 20'000;

constexpr auto kAnnotations = std::to_array<std::string_view>(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id", "$comment",
     "$defs", "definitions", "contentEncoding", "contentMediaType", "contentSchema"});

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

std::string type_of(const SchemaJson& value) {
  if (value.is_number_float()) return value.get<double>() == std::floor(value.get<double>()) ? "integer" : "number";
  if (value.is_number()) return "integer";
  return value.type_name();
}

bool requires_property(const SchemaJson& schema, const std::string& name) {
  const auto required = schema.find("required");
  return required != schema.end() && required->is_array() && contains(*required, name);
}

const SchemaJson* property(const SchemaJson& schema, const std::string& name) {
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return nullptr;
  const auto found = properties->find(name);
  return found == properties->end() ? nullptr : &*found;
}

// The values that a schema names, if it does.
std::optional<std::vector<SchemaJson>> values_of(const SchemaJson& schema) {
  if (const auto value = schema.find("const"); value != schema.end()) return std::vector<SchemaJson>{*value};
  const auto values = schema.find("enum");
  if (values == schema.end() || !values->is_array()) return std::nullopt;
  return std::vector<SchemaJson>(values->begin(), values->end());
}

SchemaJson intersection(const SchemaJson& a, const SchemaJson& b) {
  SchemaJson both = SchemaJson::array();
  for (const SchemaJson& value : a) {
    if (contains(b, value)) both.push_back(value);
  }
  return both;
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

void SchemaDocument::step(const std::string& at) {
  if (++steps_ > kMaxSteps) refuse_schema(at, "the schema is too large");
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
  SchemaJson whole = schema;
  whole.erase("$ref");
  whole.erase("allOf");
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    whole = merge(expand(resolve(*reference, at), at, depth + 1), whole, at);
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array() || all->empty()) refuse_schema(below(at, "allOf"), "must be a list of schemas");
    for (const SchemaJson& one : *all) whole = merge(std::move(whole), expand(one, at, depth + 1), at);
  }
  return whole;
}

SchemaJson SchemaDocument::merge(SchemaJson a, const SchemaJson& b, const std::string& at) {
  step(at);
  if (a == SchemaJson(false) || b == SchemaJson(false)) return false;
  if (a == SchemaJson(true)) return b;
  if (b == SchemaJson(true)) return a;
  // What `additionalProperties` forbids depends on the properties beside it, not on those that are merged in.
  const auto limits = [](const SchemaJson& one, const SchemaJson& other) {
    const auto additional = one.find("additionalProperties");
    if (additional == one.end() || *additional == SchemaJson(true)) return false;
    const auto properties = other.find("properties");
    if (properties == other.end() || !properties->is_object()) return false;
    return std::ranges::any_of(properties->items(),
                               [&one](const auto& item) { return property(one, item.key()) == nullptr; });
  };
  if (limits(a, b) || limits(b, a)) {
    refuse_schema(at, "'additionalProperties' beside properties of another schema cannot be combined");
  }
  for (const auto& [key, value] : b.items()) merge_keyword(a, key, value, at);
  return a;
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
  const bool both_numbers = known.is_number() && value.is_number();
  if (key == "type") {
    known = common_types(known, value);
  } else if (key == "enum" && both_lists) {
    known = intersection(known, value);
  } else if (key == "required" && both_lists) {
    for (const SchemaJson& name : value) {
      if (!contains(known, name)) known.push_back(name);
    }
  } else if (key == "properties" && known.is_object() && value.is_object()) {
    for (const auto& [name, schema] : value.items()) {
      const auto same = known.find(name);
      if (same == known.end()) {
        known[name] = schema;
      } else if (*same != schema) {
        *same = SchemaJson{{"allOf", SchemaJson::array({*same, schema})}};
      }
    }
  } else if (key == "items") {
    known = SchemaJson{{"allOf", SchemaJson::array({known, value})}};
  } else if ((key.starts_with("min") || key == "exclusiveMinimum") && both_numbers) {
    if (known < value) known = value;
  } else if ((key.starts_with("max") || key == "exclusiveMaximum") && both_numbers) {
    if (value < known) known = value;
  } else {
    refuse_schema(at, "two schemas with a different '" + key + "' cannot be combined");
  }
}

bool SchemaDocument::disjoint(const SchemaJson& a_given, const SchemaJson& b_given, const std::string& at, int depth) {
  if (depth > 4) return false;
  const SchemaJson a = expand(a_given, at), b = expand(b_given, at);
  if (a == SchemaJson(false) || b == SchemaJson(false)) return true;
  if (!a.is_object() || !b.is_object()) return false;
  std::set<std::string> types_a = types_of(a), types_b = types_of(b), both;
  std::ranges::set_intersection(types_a, types_b, std::inserter(both, both.begin()));
  if (both.empty()) return true;

  const auto values_a = values_of(a), values_b = values_of(b);
  const auto cannot_be = [](const std::vector<SchemaJson>& values, const auto& other,
                            const std::set<std::string>& types) {
    return std::ranges::all_of(values, [&](const SchemaJson& value) {
      const bool other_value = other && std::ranges::find(*other, value) == other->end();
      return other_value || !types.contains(type_of(value));
    });
  };
  if (values_a && cannot_be(*values_a, values_b, types_b)) return true;
  if (values_b && cannot_be(*values_b, values_a, types_a)) return true;
  return both == std::set<std::string>{"object"} && kept_apart_by_property(a, b, at, depth);
}

// By a property that both require, with schemas that exclude each other; or that one requires and the other forbids.
bool SchemaDocument::kept_apart_by_property(const SchemaJson& a, const SchemaJson& b, const std::string& at,
                                            int depth) {
  const auto forbids = [](const SchemaJson& schema, const std::string& name) {
    const auto additional = schema.find("additionalProperties");
    return additional != schema.end() && *additional == SchemaJson(false) && property(schema, name) == nullptr;
  };
  const auto by_required_of = [&](const SchemaJson& one, const SchemaJson& other) {
    const auto required = one.find("required");
    if (required == one.end() || !required->is_array()) return false;
    return std::ranges::any_of(*required, [&](const SchemaJson& name) {
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
