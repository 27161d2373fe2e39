// What the configuration of an `.sbs` file says in the terms that the rest of the engine knows.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/sbs_config.h"

namespace carat {

// The family and the sizes that `sbs_plan` needs. Throws BadFile, and Unsupported for what we do not compute.
ModelConfig sbs_shape(const SbsConfig& config, const std::string& file);

// The keys and values of the GGUF file of the same model. `texts` takes, and must keep, the bytes of those that are not
// numbers. An empty `tokenizer` is none.
Metadata sbs_metadata(const SbsConfig& config, std::string_view tokenizer, const std::string& file,
                      std::vector<std::vector<std::byte>>& texts);

}  // namespace carat
