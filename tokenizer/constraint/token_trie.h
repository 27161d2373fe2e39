// The tokens of a vocabulary as a prefix tree of their bytes.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace carat {

// Only tokens that stand for text: neither control tokens nor unknown or unused ones, nor any of `ends`. Immutable; any
// number of threads may use one at a time.
class TokenTrie {
 public:
  static constexpr std::size_t kMaxBytes = 512;  // of a token; a longer one is left out

  // In the order of a walk that goes deep first: what lies under node i are the nodes up to `end`.
  struct Node {
    std::uint32_t end;
    std::uint32_t first_token;  // among tokens(); the next node's is where this one's end
    std::uint16_t depth;        // bytes; the root, node 0, has none
    std::uint8_t byte;
  };

  // `tokenizer` must outlive the tree.
  explicit TokenTrie(const Tokenizer& tokenizer, std::span<const TokenId> ends = {});

  const Tokenizer& tokenizer() const { return tokenizer_; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size() - 1); }
  const Node& operator[](std::size_t node) const { return nodes_[node]; }
  // Those of exactly that node's bytes.
  std::span<const TokenId> tokens(std::uint32_t node) const {
    const std::uint32_t first = nodes_[node].first_token;
    return std::span(tokens_).subspan(first, nodes_[node + 1].first_token - first);
  }
  std::uint16_t depth() const { return depth_; }                     // the length of the longest token
  std::uint32_t child(std::uint32_t node, std::uint8_t byte) const;  // 0: none

 private:
  const Tokenizer& tokenizer_;
  std::vector<Node> nodes_;  // and one behind the last
  std::vector<TokenId> tokens_;
  std::uint16_t depth_ = 0;
};

}  // namespace carat
