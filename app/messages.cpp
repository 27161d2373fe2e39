#include "app/messages.h"

#include <nlohmann/json.hpp>

#include "app/failure.h"
#include "app/text_input.h"

namespace carat {

Role parse_role(const std::string& name, const std::string& place) {
  if (name == "system" || name == "developer") return Role::system;
  if (name == "user") return Role::user;
  if (name == "assistant" || name == "model") return Role::assistant;
  throw BadUsage(place + ": role '" + name + "' is none of system, user, assistant");
}

std::string parse_chat_message(const std::string& line, const std::string& source) {
  const nlohmann::json json = parse_json(line, source);
  const nlohmann::json* said = &json;
  if (json.is_object()) {
    const bool is_users = !json.contains("role") || json["role"] == "user";
    if (!is_users) throw BadUsage(source + ": only the user's messages are read");
    const auto found = json.find(json.contains("content") ? "content" : "prompt");
    if (found != json.end()) said = &*found;
  }
  if (!said->is_string()) throw BadUsage(source + ": neither a text nor of the form {\"content\": …}");
  std::string text = said->get<std::string>();
  check_text(text, source);
  return text;
}

nlohmann::json parse_json(std::string_view text, const std::string& source) {
  constexpr int kMaxDepth = 512;  // what prints or copies a value calls itself for each level
  const auto check_depth = [&source](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
    if (depth > kMaxDepth) throw BadUsage(source + ": nested more than " + std::to_string(kMaxDepth) + " deep");
    return true;
  };
  try {
    return nlohmann::json::parse(text, check_depth);
  } catch (const nlohmann::json::parse_error& e) {
    throw BadUsage(source + ": at byte " + std::to_string(e.byte) + ": not JSON");
  } catch (const nlohmann::json::out_of_range&) {
    throw BadUsage(source + ": not JSON: a number beyond all numbers");
  }
}

std::vector<Message> parse_messages(const nlohmann::json& json, const std::string& source) {
  if (!json.is_array()) throw BadUsage(source + ": not a list of messages");
  std::vector<Message> messages;
  for (const auto& item : json) {
    const std::string place = source + ": message " + std::to_string(messages.size() + 1);
    if (!item.is_object() || !item.contains("role") || !item.contains("content")) {
      throw BadUsage(place + ": not of the form {\"role\": …, \"content\": …}");
    }
    if (!item["role"].is_string() || !item["content"].is_string()) {
      throw BadUsage(place + ": role and content have to be texts");
    }
    std::string content = item["content"].get<std::string>();
    check_text(content, place);
    messages.push_back({parse_role(item["role"].get<std::string>(), place), std::move(content)});
  }
  if (messages.empty()) throw BadUsage(source + ": no messages");
  return messages;
}

std::vector<Message> read_messages(const std::string& path) {
  const std::string source = source_name(path);
  return parse_messages(parse_json(read_text(path), source), source);
}

}  // namespace carat
