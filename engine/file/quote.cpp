#include "engine/file/quote.h"

#include <cstdint>

namespace carat {

namespace {

// Bytes of the well-formed, printable character at the start of `text`, which is not empty; 0 if there is none.
std::size_t printable_prefix(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f && lead != '\'' && lead != '\\' ? 1 : 0;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  std::uint32_t code = lead & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t kFirstOfLength[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool control = code < 0xa0 || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return code < kFirstOfLength[length] || code > 0x10ffff || surrogate || control ? 0 : length;
}

std::string escaped(char c) {
  if (c == '\n') return "\\n";
  if (c == '\t') return "\\t";
  if (c == '\'' || c == '\\') return {'\\', c};
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(c);
  return {'\\', 'x', kHex[value >> 4], kHex[value & 15]};
}

}  // namespace

std::string quote(std::string_view text, std::size_t max_bytes) {
  std::string out = "'";
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = printable_prefix(text.substr(at));
    if (at + (length == 0 ? 1 : length) > max_bytes) break;
    out += length == 0 ? escaped(text[at]) : std::string(text.substr(at, length));
    at += length == 0 ? 1 : length;
  }
  return out + (at < text.size() ? "…'" : "'");
}

std::string printable(std::string_view text) {
  std::string quoted = quote(text, text.size());
  return quoted.size() == text.size() + 2 ? std::string(text) : quoted;
}

}  // namespace carat
