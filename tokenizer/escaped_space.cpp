#include "tokenizer/escaped_space.h"

namespace carat {
namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (;;) {
    const std::size_t at = text.find(from);
    result += text.substr(0, at);
    if (at == std::string_view::npos) return result;
    result += to;
    text.remove_prefix(at + from.size());
  }
}

}  // namespace

std::string escape_spaces(std::string_view text) { return replace_all(text, " ", kEscapedSpace); }

std::string unescape_spaces(std::string_view text) { return replace_all(text, kEscapedSpace, " "); }

}  // namespace carat
