// Finds the tokens that are cut out of a text by their spelling, before it is split or merged.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace carat {

class SpecialTokens {
 public:
  struct Match {
    std::size_t begin, length;  // bytes
    TokenId id;
  };

  void add(std::string_view text, TokenId id);
  bool empty() const { return ids_.empty(); }

  // The token of exactly that text.
  std::optional<TokenId> id_of(std::string_view text) const;

  // The leftmost token in `text` at or after `from`, the longest of those that begin there.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  std::unordered_map<std::string_view, TokenId> ids_;
  // Lengths of the tokens that begin with a byte, longest first: few differ even where thousands of tokens begin alike
  // ("<unused0>" …), which keeps a text of "<<<<<…" linear.
  std::array<std::vector<std::size_t>, 256> lengths_;
};

}  // namespace carat
