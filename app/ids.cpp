#include "app/ids.h"

#include <charconv>

#include "app/failure.h"

namespace carat {

std::vector<TokenId> parse_ids(std::string_view text, const std::string& source, std::size_t vocabulary) {
  constexpr std::string_view kBetween = ", \t\r\n\v\f";
  std::vector<TokenId> ids;
  for (std::size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;
       at = text.find_first_not_of(kBetween, at)) {
    const std::string_view word = text.substr(at, text.find_first_of(kBetween, at) - at);
    TokenId id = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    const bool is_id = error == std::errc() && end == word.data() + word.size() && id >= 0;
    if (!is_id || static_cast<std::size_t>(id) >= vocabulary) {
      throw BadUsage(source + ": at byte " + std::to_string(at) + ": expected an id from 0 to " +
                     std::to_string(vocabulary - 1));
    }
    ids.push_back(id);
    at += word.size();
  }
  return ids;
}

}  // namespace carat
