#include "app/worker_input.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "app/failure.h"
#include "app/flags.h"
#include "app/messages.h"
#include "app/text_input.h"

namespace carat {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLine = std::size_t{64} << 20;

std::string place(std::size_t line) { return "line " + std::to_string(line); }

std::string id_of(const json& value, const std::string& where) {
  if (value.is_string() && !value.get<std::string>().empty()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  throw BadUsage(where + ": an id is a text or a whole number");
}

std::string text_of(const json& value, const std::string& name, const std::string& where) {
  if (!value.is_string()) throw BadUsage(where + ": " + name + " has to be a text");
  std::string text = value.get<std::string>();
  check_text(text, where + ": " + name);
  return text;
}

// A value as a flag would have it.
std::string argument_of(const json& value, const std::string& what) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean() || value.is_object()) return value.dump();
  throw BadUsage(what + ": neither a text nor a number");
}

// The options of a request are flags by another way in: the same names, ranges and refusals.
QueryFlags with_options(const QueryFlags& defaults, const json& options, TimeoutFlag& timeout,
                        const std::string& where) {
  if (!options.is_object()) throw BadUsage(where + ": options have to be an object");
  QueryFlags flags = defaults;
  flags.constraint = {};  // one of the request's own takes the place of the worker's
  FlagParser parser;
  flags.add_to(parser.app());
  timeout.add_to(parser.app(), "");
  std::vector<std::string> arguments;
  for (const auto& [key, value] : options.items()) {
    std::string name = (key.size() == 1 ? "-" : "--") + key;
    std::ranges::replace(name, '_', '-');
    if (!parser.has(name)) throw BadUsage(where + ": no option is called '" + key + "'");
    const std::string what = where + ": option " + key;
    const auto add = [&](const json& one) {
      const std::string text = argument_of(one, what);
      if (parser.takes_value(name)) {
        arguments.insert(arguments.end(), {name, text});
      } else {
        arguments.push_back(name + "=" + text);
      }
    };
    if (value.is_array()) {
      for (const json& one : value) add(one);
    } else {
      add(value);
    }
  }
  try {
    parser.parse(std::move(arguments));
  } catch (const BadUsage& e) {
    throw BadUsage(where + ": " + e.what());
  }
  const ConstraintFlags& own = flags.constraint;
  if (own.json_schema_file == "-" || own.grammar_file == "-") {
    throw BadUsage(where + ": standard input has the requests, and no file besides");
  }
  if (!own.given()) flags.constraint = defaults.constraint;
  return flags;
}

constexpr auto kRequestKeys = std::to_array<std::string_view>({"id", "prompt", "messages", "system", "options"});
constexpr auto kCancelKeys = std::to_array<std::string_view>({"cancel"});

void refuse_keys_besides(std::span<const std::string_view> known, const json& line, const std::string& where) {
  for (const auto& [key, value] : line.items()) {
    if (std::ranges::find(known, key) == known.end()) throw BadUsage(where + ": a request has no '" + key + "'");
  }
}

std::vector<Message> messages_of(const json& request, const RunOptions& defaults, const std::string& where) {
  std::vector<Message> messages;
  if (request.contains("prompt") == request.contains("messages")) {
    throw BadUsage(where + ": either a prompt or messages");
  }
  const std::string system =
      request.contains("system") ? text_of(request["system"], "system", where) : defaults.frame.system_text();
  if (defaults.raw && (!system.empty() || request.contains("messages"))) {
    throw BadUsage(where + ": --raw knows no turns: prompts alone");
  }
  if (request.contains("messages")) messages = parse_messages(request["messages"], where);
  const bool has_system = !messages.empty() && messages.front().role == Role::system;
  if (has_system && request.contains("system")) {
    throw BadUsage(where + ": either a system text or a system message");
  }
  if (!system.empty() && !has_system) messages.insert(messages.begin(), {Role::system, system});
  if (request.contains("prompt")) messages.push_back({Role::user, text_of(request["prompt"], "prompt", where)});
  if (messages.back().role != Role::user) throw BadUsage(where + ": the last message is not the user's");
  return messages;
}

}  // namespace

std::variant<WorkerRequest, Cancellation> parse_worker_line(const std::string& text, std::size_t number,
                                                            const RunOptions& defaults, std::string& id) {
  const std::string where = place(number);
  const json request = parse_json(text, where);
  if (!request.is_object()) throw BadUsage(where + ": not an object");
  if (request.contains("cancel")) {
    refuse_keys_besides(kCancelKeys, request, where);
    return Cancellation{id_of(request["cancel"], where)};
  }
  id = request.contains("id") ? id_of(request["id"], where) : "line-" + std::to_string(number);
  refuse_keys_besides(kRequestKeys, request, where);
  WorkerRequest parsed;
  parsed.id = id;
  parsed.line = number;
  parsed.query.messages = messages_of(request, defaults, where);
  TimeoutFlag timeout;
  parsed.query.flags =
      request.contains("options") ? with_options(defaults.query, request["options"], timeout, where) : defaults.query;
  if (timeout.given()) parsed.deadline = std::chrono::steady_clock::now() + timeout.timeout;
  if (parsed.query.flags.logprobs && defaults.output.format != OutputFormat::ndjson) {
    throw BadUsage(where + ": logprobs need -o ndjson");
  }
  return parsed;
}

void LineReader::read(int wait_ms, int other) {
  std::array<pollfd, 2> events = {pollfd{ended_ ? -1 : STDIN_FILENO, POLLIN, 0}, pollfd{other, POLLIN, 0}};
  if (::poll(events.data(), events.size(), wait_ms) <= 0 || events[0].revents == 0) return;
  std::array<char, 65536> bytes;
  const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  if (count > 0) {
    pending_.append(bytes.data(), static_cast<std::size_t>(count));
  } else if (count == 0) {
    ended_ = true;
    if (!pending_.empty() && !pending_.ends_with('\n')) pending_ += '\n';
  } else if (errno != EINTR && errno != EAGAIN) {
    throw BadUsage(std::string("standard input: cannot be read: ") + std::strerror(errno));
  }
}

std::optional<std::string> LineReader::next() {
  for (;;) {
    const std::size_t end = pending_.find('\n', searched_);
    if (end == std::string::npos && pending_.size() > kMaxLine) {
      is_too_long_ = true;
      pending_.clear();
    }
    if (end == std::string::npos) {
      searched_ = pending_.size();
      return std::nullopt;
    }
    std::string line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    searched_ = 0;
    ++number_;
    if (std::exchange(is_too_long_, false))
      throw BadUsage(place(number_) + ": longer than " + std::to_string(kMaxLine >> 20) + " MiB");
    if (line.find_first_not_of(" \t\r") != std::string::npos) return line;
  }
}

}  // namespace carat
