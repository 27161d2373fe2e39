// What the files of a model say of it, for those who are shown or told it.
#pragma once
#include "app/event.h"
#include "engine/file/model_file.h"

namespace carat {

// Throws BadFile.
ModelFacts model_facts(const ModelFile& file, std::size_t trained_context);

std::uint64_t weight_bytes(const ModelFile& file);

}  // namespace carat
