#include "app/render_flags.h"

#include <charconv>

#include "app/failure.h"
#include "app/flags.h"

namespace carat {

void RenderFlags::add_to(CLI::App& app) {
  add_text(app, "--think", think, "WHEN",
           "let the model think before it answers: on, off, auto (as it is used to), or for N tokens at most")
      ->check(one_of_or_count({"on", "off", "auto"}))
      ->group(kMore);
  add_texts(app, "--template-arg", arguments, "NAME=VALUE",
            "what the turn template is told: enable_thinking=true|false, date_string=TEXT; repeatable")
      ->group(kMore);
}

std::optional<std::size_t> RenderFlags::budget() const {
  std::size_t tokens = 0;
  const auto [end, error] = std::from_chars(think.data(), think.data() + think.size(), tokens);
  return error == std::errc() && *end == '\0' ? std::optional(tokens) : std::nullopt;
}

RenderOptions RenderFlags::options(const ChatFrame& frame) const {
  RenderOptions options;
  const auto set_thinking = [&](bool on, const std::string& flag) {
    const bool can = frame.has_think_switch() || (on ? frame.opens_with_thought() : !frame.opens_with_thought());
    if (!can) throw BadUsage(flag + ": this model " + (on ? "does not think" : "always thinks"));
    options.think = on;
  };
  if (think != "auto") set_thinking(wants_thoughts(), "--think");
  for (const std::string& argument : arguments) {
    const std::string place = "--template-arg: '" + argument + "'";
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos) throw BadUsage(place + " is not of the form NAME=VALUE");
    const std::string name = argument.substr(0, equals), value = argument.substr(equals + 1);
    if (name == "enable_thinking") {
      set_thinking(read_switch(value), place);
    } else if (name == "date_string") {
      options.date = value;
    } else {
      throw BadUsage(place + ": no such argument", "there are enable_thinking and date_string");
    }
  }
  return options;
}

Thoughts RenderFlags::thoughts(const ChatFrame& frame) const {
  if (frame.opens_with_thought()) return Thoughts::open;
  return frame.has_think_switch() && options(frame).think ? Thoughts::marked : Thoughts::none;
}

}  // namespace carat
