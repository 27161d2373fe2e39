// The values of bench's flags: lists, ranges, pairs.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "engine/kv_cache.h"

namespace carat {

// The items of every text, which are separated by commas. Throws BadUsage that names `flag` if one is empty.
std::vector<std::string> split_lists(const std::string& flag, const std::vector<std::string>& texts);

struct CountRange {
  std::size_t min, max;
};

// Whole numbers within `range` and spans of them: "512,1024", "1-4", "1-9+4" (1, 5, 9), "1-8*2" (1, 2, 4, 8).
// Throws BadUsage.
std::vector<std::size_t> parse_counts(const std::string& flag, const std::vector<std::string>& texts, CountRange range);

// Names of types that a cache is kept in. Throws BadUsage.
std::vector<DType> parse_cache_types(const std::string& flag, const std::vector<std::string>& texts);

struct PromptAndReply {
  std::size_t prompt, reply;
};

// One pair in each text: "512,128". Throws BadUsage.
std::vector<PromptAndReply> parse_pairs(const std::string& flag, const std::vector<std::string>& texts,
                                        CountRange range);

}  // namespace carat
