// The two tables that byte-pair encoding looks texts up in. They hold hashes and indices only, and are filled without
// looking anything up: a vocabulary of 150 thousand tokens is ready in milliseconds.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace carat {

// Hash to index: open addressing. Whoever uses it knows the texts that were hashed.
class IndexTable {
 public:
  struct Slot {
    std::uint32_t tag = 0;    // the hash's upper half, which spares nearly all comparisons of texts
    std::int32_t index = -1;  // -1: free
  };

  explicit IndexTable(std::size_t entries);

  // The slot of the entry with that hash for whose index `is_it` holds, or the free slot where it belongs.
  template <typename IsIt>
  Slot& slot(std::uint64_t hash, const IsIt& is_it) {
    return slots_[place(hash, is_it)];
  }
  template <typename IsIt>
  const Slot& slot(std::uint64_t hash, const IsIt& is_it) const {
    return slots_[place(hash, is_it)];
  }

  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32U); }

 private:
  template <typename IsIt>
  std::size_t place(std::uint64_t hash, const IsIt& is_it) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].index >= 0 && !(slots_[at].tag == tag_of(hash) && is_it(slots_[at].index))) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;  // a power of two of them, a third or more of them free
};

// Token text to id.
class PieceTable {
 public:
  // Room for `pieces`, which must outlive the table; none is in it yet.
  explicit PieceTable(std::span<const std::string_view> pieces) : pieces_(pieces), table_(pieces.size()) {}

  // Of equal texts the last one added counts.
  void add(TokenId id);
  std::optional<TokenId> find(std::string_view text) const;

 private:
  std::span<const std::string_view> pieces_;
  IndexTable table_;
};

// Two texts to the rank at which they merge.
class MergeTable {
 public:
  // `merges`, "left right" by rank, must outlive the table. Throws BadVocabulary.
  explicit MergeTable(std::span<const std::string_view> merges);

  // The rank at which the first `left_length` bytes of `joined` merge with the others. Lower ranks merge first.
  std::optional<std::int32_t> rank(std::string_view joined, std::size_t left_length) const;

 private:
  std::span<const std::string_view> merges_;
  IndexTable table_;
};

}  // namespace carat
