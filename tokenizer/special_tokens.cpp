#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <functional>

namespace carat {

void SpecialTokens::add(std::string_view text, TokenId id) {
  if (text.empty()) return;
  ids_.insert_or_assign(text, id);
  auto& lengths = lengths_[static_cast<unsigned char>(text[0])];
  const auto place = std::ranges::lower_bound(lengths, text.size(), std::greater<>());
  if (place == lengths.end() || *place != text.size()) lengths.insert(place, text.size());
}

std::optional<TokenId> SpecialTokens::id_of(std::string_view text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<SpecialTokens::Match> SpecialTokens::find(std::string_view text, std::size_t from) const {
  if (empty()) return std::nullopt;
  for (std::size_t at = from; at < text.size(); ++at) {
    for (const std::size_t length : lengths_[static_cast<unsigned char>(text[at])]) {
      if (length > text.size() - at) continue;
      const auto found = ids_.find(text.substr(at, length));
      if (found != ids_.end()) return Match{at, length, found->second};
    }
  }
  return std::nullopt;
}

}  // namespace carat
