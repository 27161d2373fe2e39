// Conversations as JSON: [{"role": "user", "content": "…"}, …].
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_frame.h"

namespace carat {

// `source` is what messages call it. Throws BadUsage for anything else than a list of messages, with roles system, user
// and assistant, whose contents are texts.
std::vector<Message> parse_messages(const nlohmann::json& json, const std::string& source);

// Of a file; "-" is standard input.
std::vector<Message> read_messages(const std::string& path);

// Throws BadUsage that begins with `place`.
Role parse_role(const std::string& name, const std::string& place);

// What is said in one line of a chat: a text, or an object that has it as its "content" or "prompt", and the role
// "user" if any. Throws BadUsage.
std::string parse_chat_message(const std::string& line, const std::string& source);

// Parses a text that a user has written. Throws BadUsage that says where it is no JSON, or that it is nested too deep.
nlohmann::json parse_json(std::string_view text, const std::string& source);

}  // namespace carat
