#include "app/colour.h"

#include <unistd.h>

#include <cstdlib>

namespace carat {
namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

bool shows_colour(int descriptor, std::string_view when) {
  if (when == "always" || when == "on") return true;
  if (when == "never" || when == "off") return false;
  const std::string_view forced = variable("CLICOLOR_FORCE"), terminal = variable("TERM");
  if (!forced.empty() && forced != "0") return true;
  return ::isatty(descriptor) == 1 && !terminal.empty() && terminal != "dumb" && variable("NO_COLOR").empty();
}

}  // namespace carat
