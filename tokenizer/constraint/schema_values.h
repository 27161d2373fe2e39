// The values that a schema lists, against what else it says.
#pragma once
#include <string>
#include <vector>

#include "tokenizer/constraint/schema_document.h"

namespace carat {

// Those of `values` that are valid by all other keywords of `schema` but `type`: by limits of numbers, of lengths and
// of counts, and by patterns. `format` is an annotation here, as it is to most readers: ours would be too narrow for
// values that somebody has chosen. Throws BadConstraint for one that cannot be told: what is inside lists and objects.
std::vector<SchemaJson> valid_values(SchemaDocument& document, std::vector<SchemaJson> values, const SchemaJson& schema,
                                     const std::string& at);

}  // namespace carat
