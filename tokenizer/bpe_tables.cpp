#include "tokenizer/bpe_tables.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <string>

namespace carat {
namespace {

std::uint64_t hash_of(std::string_view text) { return std::hash<std::string_view>()(text); }

// The same text may be two merges, "a bc" and "ab c": where it is divided counts.
std::uint64_t hash_of(std::string_view joined, std::size_t left_length) {
  return hash_of(joined) + left_length * 0x9E3779B97F4A7C15U;
}

}  // namespace

IndexTable::IndexTable(std::size_t entries) : slots_(std::bit_ceil(std::max<std::size_t>(entries + entries / 2, 16))) {}

void PieceTable::add(TokenId id) {
  const std::string_view text = pieces_[static_cast<std::size_t>(id)];
  const std::uint64_t hash = hash_of(text);
  table_.slot(hash, [&](std::int32_t i) { return pieces_[static_cast<std::size_t>(i)] == text; }) = {
      IndexTable::tag_of(hash), id};
}

std::optional<TokenId> PieceTable::find(std::string_view text) const {
  const auto& slot =
      table_.slot(hash_of(text), [&](std::int32_t i) { return pieces_[static_cast<std::size_t>(i)] == text; });
  return slot.index >= 0 ? std::optional(slot.index) : std::nullopt;
}

MergeTable::MergeTable(std::span<const std::string_view> merges) : merges_(merges), table_(merges.size()) {
  std::string joined;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      throw BadVocabulary("vocabulary: merge " + std::to_string(rank) + ": not two texts with a space between");
    }
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const std::uint64_t hash = hash_of(joined, space);
    auto& slot = table_.slot(hash, [&](std::int32_t i) { return merges[static_cast<std::size_t>(i)] == merge; });
    if (slot.index < 0) slot = {IndexTable::tag_of(hash), static_cast<std::int32_t>(rank)};
  }
}

std::optional<std::int32_t> MergeTable::rank(std::string_view joined, std::size_t left_length) const {
  const auto is_it = [&](std::int32_t i) {
    const std::string_view merge = merges_[static_cast<std::size_t>(i)];
    return merge.size() == joined.size() + 1 && merge[left_length] == ' ' &&
           merge.substr(0, left_length) == joined.substr(0, left_length) &&
           merge.substr(left_length + 1) == joined.substr(left_length);
  };
  const auto& slot = table_.slot(hash_of(joined, left_length), is_it);
  return slot.index >= 0 ? std::optional(slot.index) : std::nullopt;
}

}  // namespace carat
