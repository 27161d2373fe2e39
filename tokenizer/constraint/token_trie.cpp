#include "tokenizer/constraint/token_trie.h"

#include <algorithm>
#include <string>
#include <utility>

namespace carat {
namespace {

bool is_text(PieceKind kind) {
  return kind == PieceKind::normal || kind == PieceKind::user_defined || kind == PieceKind::byte;
}

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer, std::span<const TokenId> ends) : tokenizer_(tokenizer) {
  std::vector<std::pair<std::string, TokenId>> texts;
  texts.reserve(tokenizer.size());
  for (std::size_t i = 0; i < tokenizer.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!is_text(tokenizer.kind(id)) || std::ranges::find(ends, id) != ends.end()) continue;
    std::string text = tokenizer.piece(id);
    if (!text.empty() && text.size() <= kMaxBytes) texts.emplace_back(std::move(text), id);
  }
  std::ranges::sort(texts);

  std::vector<std::uint32_t> path{0};  // the nodes from the root to the present one
  nodes_.push_back({0, 0, 0, 0});
  std::string_view last;
  const auto leave = [&](std::size_t depth) {
    for (; path.size() > depth + 1; path.pop_back())
      nodes_[path.back()].end = static_cast<std::uint32_t>(nodes_.size());
  };
  for (const auto& [text, id] : texts) {
    const std::size_t shared = static_cast<std::size_t>(std::ranges::mismatch(last, text).in1 - last.begin());
    leave(shared);
    for (std::size_t i = shared; i < text.size(); ++i) {
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), static_cast<std::uint16_t>(i + 1),
                        static_cast<std::uint8_t>(text[i])});
    }
    tokens_.push_back(id);
    depth_ = std::max(depth_, static_cast<std::uint16_t>(text.size()));
    last = text;
  }
  leave(0);
  nodes_[0].end = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), 0, 0});
}

std::uint32_t TokenTrie::child(std::uint32_t node, std::uint8_t byte) const {
  for (std::uint32_t i = node + 1; i < nodes_[node].end; i = nodes_[i].end) {
    if (nodes_[i].byte == byte) return i;
  }
  return 0;
}

}  // namespace carat
