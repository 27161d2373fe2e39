// What a session has read, put away beside its transcript: FILE.kv. Whatever is wrong with such a file, it is only left
// unused.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "app/open_model.h"
#include "engine/session.h"

namespace carat {

// The file of the cache that belongs to a transcript.
std::filesystem::path cache_path(const std::filesystem::path& transcript);

// Of what keys and values depend on besides the tokens: weights, configuration, turn template and the types they are
// kept in. Of the weights it looks at a few bytes of each tensor.
std::uint64_t cache_key(const OpenModel& model, std::string_view frame, const CacheTypes& types);

// Writes what `session` has read, `ids`, for only its owner to read: whole or not at all. Throws Error.
void save_cache(const std::filesystem::path& path, const Session& session, std::span<const TokenId> ids,
                std::uint64_t key);

// Brings `session`, which has read nothing, to where that file was written, and returns what it has read then. None,
// and a note of the reason, if the file is of another model, does not fit the session or was changed; none at all if
// there is no file.
std::vector<TokenId> load_cache(const std::filesystem::path& path, Session& session, std::uint64_t key,
                                std::size_t vocabulary);

// The same of a file's bytes. Throws BadFile, and has touched nothing then, where load_cache() leaves a note.
std::vector<TokenId> read_cache(std::span<const std::byte> whole, Session& session, std::uint64_t key,
                                std::size_t vocabulary);

}  // namespace carat
