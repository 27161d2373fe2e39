#include "tokenizer/constraint/formats.h"

#include <algorithm>
#include <array>

namespace carat {
namespace {

// RFC 3339, section 5.6. February has its leap day in the years that do.
constexpr std::string_view kDate =
    "((000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d{3})-"
    "((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))|"
    "(\\d\\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)";
constexpr std::string_view kTime = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
constexpr std::string_view kHost =
    "[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?){0,4}";
constexpr std::string_view kPathCharacter = "([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})";

struct Row {
  std::string_view name;
  std::string (*pattern)();
};

constexpr std::array kFormats = {
    Row{"date", [] { return std::string(kDate); }},
    Row{"time", [] { return std::string(kTime); }},
    Row{"date-time", [] { return std::string(kDate).append("T").append(kTime); }},
    Row{"duration",
        [] {
          const std::string time = "T(\\d{1,4}H(\\d{1,4}M(\\d{1,4}S)?)?|\\d{1,4}M(\\d{1,4}S)?|\\d{1,4}S)";
          const std::string days = "(\\d{1,4}Y(\\d{1,4}M(\\d{1,4}D)?)?|\\d{1,4}M(\\d{1,4}D)?|\\d{1,4}D)";
          return "P(" + days + "(" + time + ")?|" + time + "|\\d{1,4}W)";
        }},
    Row{"email",
        [] {
          return std::string(
              "[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,16}){0,2}@[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,16})?"
              "(\\.[A-Za-z0-9]{1,16}){0,2}\\.[A-Za-z]{2,10}");
        }},
    Row{"hostname", [] { return std::string(kHost); }},
    Row{"ipv4",
        [] {
          const std::string byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
          return byte + "(\\." + byte + "){3}";
        }},
    Row{"ipv6", [] { return std::string("[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}"); }},
    Row{"uuid", [] { return std::string("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"); }},
    Row{"uri",
        [] {
          const std::string rest(kPathCharacter);
          return "[A-Za-z][A-Za-z0-9+.-]{0,15}:(//" + std::string(kHost) + "(:[1-9]\\d{0,3})?(/" + rest +
                 "*)?|[A-Za-z0-9._~-]" + rest + "*)(\\?" + rest + "*)?(#" + rest + "*)?";
        }},
};

}  // namespace

std::string format_pattern(std::string_view format) {
  const auto row = std::ranges::find(kFormats, format, &Row::name);
  return row == kFormats.end() ? "" : row->pattern();
}

std::string format_names() {
  std::string names;
  for (const Row& row : kFormats) names.append(names.empty() ? "" : ", ").append(row.name);
  return names;
}

}  // namespace carat
