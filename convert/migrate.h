// From .sbs files of any year to today's: one file, with configuration and tokenizer inside.
#pragma once
#include <filesystem>

#include "engine/file/output_file.h"

namespace carat {

// The tensors stay as they are, byte for byte; a configuration is completed with what its year left unsaid. Without a
// tokenizer the one inside `weights` stays, if there is one. Writes `target` whole or not at all. Throws BadFile and
// Unsupported.
void migrate(const std::filesystem::path& weights, const std::filesystem::path& tokenizer,
             const std::filesystem::path& target, Existing existing = Existing::replace);

}  // namespace carat
