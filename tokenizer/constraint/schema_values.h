// The values that a schema lists, against what else it says.
#pragma once
#include <string>
#include <vector>

#include "tokenizer/constraint/schema_document.h"

namespace carat {

// Those of `values` that are valid by all other keywords of `schema` but `type`: by limits of numbers, of lengths and
// of counts, by patterns and formats. Throws BadConstraint for one that cannot be told: what is inside lists and
// objects.
std::vector<SchemaJson> valid_values(std::vector<SchemaJson> values, const SchemaJson& schema, const std::string& at);

}  // namespace carat
