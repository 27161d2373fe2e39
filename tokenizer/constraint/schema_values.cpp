#include "tokenizer/constraint/schema_values.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <numeric>

#include "tokenizer/constraint/bad_constraint.h"
#include "tokenizer/constraint/regex.h"
#include "tokenizer/constraint/runs.h"

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

// Does the work; what it refuses is refused at that place.
template <class Work>
auto refusing(const std::string& at, const Work& work) {
  try {
    return work();
  } catch (const BadConstraint& e) {
    refuse_schema(at, e.what());
  }
}

// A pattern, and the work of matching it, which counts: it may go over a text in many ways at once.
class PatternCheck {
 public:
  PatternCheck(SchemaDocument& document, const std::string& pattern, const std::string& at)
      : document_(document), at_(at), automaton_(made(pattern)), runs_(automaton_) {
    document_.step(at_, automaton_.work());
  }

  bool holds(const std::string& text) {
    const bool accepts_nothing = automaton_.accepts_nothing();
    Runs::SetId set = refusing(at_, [&] {
      return runs_.set_of({{automaton_.start(), Runs::kBottom}}, accepts_nothing);
    });
    for (const char byte : text) {
      const std::size_t before = runs_.work();
      set = refusing(at_, [&] { return runs_.tidy(runs_.next(set, static_cast<std::uint8_t>(byte))); });
      document_.step(at_, kMatchedByte + runs_.work() - before);
    }
    return runs_.complete(set);
  }

 private:
  static constexpr std::size_t kReadByte = 20, kMatchedByte = 10;  // what they cost

  Automaton made(const std::string& pattern) const {
    document_.step(at_, kReadByte * pattern.size());
    return refusing(at_, [&pattern] { return regex_automaton(pattern, RegexSpan::anywhere); });
  }

  SchemaDocument& document_;
  std::string at_;
  Automaton automaton_;
  Runs runs_;
};

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

bool is_about_lists(const std::string& key) { return key == "items" || key == "prefixItems" || key == "uniqueItems"; }

Check check_of(SchemaDocument& document, const std::string& key, const SchemaJson& limit, const std::string& at) {
  const auto row = std::ranges::find(kAssertions, key, &Assertion::key);
  if (row != kAssertions.end()) {
    const long double number = number_of(limit, at);
    return [row, number](const SchemaJson& v) { return !(v.*row->is_about)() || row->holds(v, number); };
  }
  if (key == "pattern") {
    std::vector<std::shared_ptr<PatternCheck>> checks;
    for (const std::string& pattern : patterns_of(limit, at)) {
      checks.push_back(std::make_shared<PatternCheck>(document, pattern, at));
    }
    return [checks](const SchemaJson& v) {
      const auto holds = [&v](const auto& check) { return check->holds(v.get_ref<const std::string&>()); };
      return !v.is_string() || std::ranges::all_of(checks, holds);
    };
  }
  return [key, at](const SchemaJson& v) {
    const bool concerns = is_about_lists(key) ? v.is_array() : v.is_object();
    if (concerns) refuse_schema(at, "beside a list or an object in 'enum' or 'const' is not supported");
    return true;
  };
}

}  // namespace

std::vector<SchemaJson> valid_values(SchemaDocument& document, std::vector<SchemaJson> values, const SchemaJson& schema,
                                     const std::string& at) {
  const auto size = [](std::size_t sum, const SchemaJson& value) { return sum + values_in(value); };
  const std::size_t all = std::accumulate(values.begin(), values.end(), std::size_t{0}, size);
  for (const auto& [key, limit] : schema.items()) {
    document.step(at, all);
    if (key == "enum" || key == "const" || key == "type" || key == "format" || is_annotation(key)) continue;
    const Check check = check_of(document, key, limit, below(at, key));
    std::erase_if(values, [&check](const SchemaJson& value) { return !check(value); });
  }
  return values;
}

}  // namespace carat
