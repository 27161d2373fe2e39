#include "tokenizer/constraint/schema_strings.h"

#include <optional>

#include "tokenizer/constraint/bad_constraint.h"
#include "tokenizer/constraint/formats.h"

namespace carat {
namespace {

constexpr std::size_t kMaxPatterns = 8;  // of one string: all of them are in memory at once

struct Form {
  std::string pattern;
  RegexSpan span;
  std::string at;
};

std::vector<Form> forms_of(const SchemaJson& schema, const std::string& at) {
  std::vector<Form> forms;
  if (const auto pattern = schema.find("pattern"); pattern != schema.end()) {
    const std::string place = below(at, "pattern");
    std::vector<std::string> patterns = patterns_of(*pattern, place);
    if (patterns.size() > kMaxPatterns) {
      refuse_schema(place, "more than " + std::to_string(kMaxPatterns) + " different patterns of one string");
    }
    for (std::string& one : patterns) {
      forms.push_back({std::move(one), RegexSpan::anywhere, place});
    }
  }
  if (const auto format = schema.find("format"); format != schema.end()) {
    const std::string place = below(at, "format");
    std::string pattern = format->is_string() ? format_pattern(format->get_ref<const std::string&>()) : "";
    if (pattern.empty()) refuse_schema(place, format->dump() + " is not supported; known are " + format_names());
    forms.push_back({std::move(pattern), RegexSpan::whole, place});
  }
  return forms;
}

// What does not come to an expression is refused with its place.
template <class Make>
auto placed(const std::string& at, const Make& make) {
  try {
    return make();
  } catch (const BadConstraint& e) {
    refuse_schema(at, e.what());
  }
}

}  // namespace

ExpressionId add_strings(JsonGrammar& json, const SchemaJson& schema, std::uint32_t min, std::uint32_t max,
                         const std::string& at) {
  const bool has_length = min > 0 || max != kNoLimit;
  const std::vector<Form> forms = forms_of(schema, at);
  if (forms.empty()) return has_length ? json.string(min, max) : json.string();
  if (forms.size() == 1 && !has_length) {
    return placed(forms[0].at, [&] { return json.string_matching(forms[0].pattern, forms[0].span); });
  }
  Grammar letters;
  const auto write = [&letters](const CodePoints& points) { return letters.points(points); };
  std::vector<ExpressionId> parts;
  for (const Form& form : forms) {
    parts.push_back(placed(form.at, [&] { return add_regex(letters, form.pattern, form.span, write); }));
  }
  return placed(at, [&] { return json.string_of(intersection(letters, parts, min, max)); });
}

}  // namespace carat
