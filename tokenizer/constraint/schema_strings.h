// Strings of a JSON Schema: their length, pattern and format, alone and together.
#pragma once
#include <string>

#include "tokenizer/constraint/json_grammar.h"
#include "tokenizer/constraint/schema_document.h"

namespace carat {

// The strings that `schema` allows, of `min` to `max` code points. Throws BadConstraint.
ExpressionId add_strings(JsonGrammar& json, const SchemaJson& schema, std::uint32_t min, std::uint32_t max,
                         const std::string& at);

}  // namespace carat
