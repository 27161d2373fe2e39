#include "app/typed_text.h"

#include <algorithm>

namespace carat {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";
constexpr std::string_view kWhite = " \t\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(kWhite), text.size());
  const std::size_t end = text.find_last_not_of(kWhite);
  return end == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin + 1);
}

}  // namespace

bool opens_block(std::string_view text) { return trimmed(text).starts_with(kQuotes) && !is_block(text); }

bool is_block(std::string_view text) {
  text = trimmed(text);
  return text.size() >= 2 * kQuotes.size() && text.starts_with(kQuotes) && text.ends_with(kQuotes);
}

std::string block_text(std::string_view text) {
  text = trimmed(text);
  text = text.substr(kQuotes.size(), text.size() - 2 * kQuotes.size());
  if (text.starts_with('\n')) text.remove_prefix(1);
  if (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(text);
}

bool take_continuation(std::string& text) {
  if (!text.ends_with('\\')) return false;
  text.pop_back();
  return true;
}

std::string clean_text(std::string_view text) {
  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (is_c1) {
      ++i;
    } else if (byte == '\r') {
      if (i + 1 == text.size() || text[i + 1] != '\n') clean += '\n';
    } else if (byte == '\n' || byte == '\t' || (byte >= 0x20 && byte != 0x7f)) {
      clean += text[i];
    }
  }
  return clean;
}

}  // namespace carat
