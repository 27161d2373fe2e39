// What a chat says about itself when it is asked.
#pragma once
#include <string>
#include <string_view>

namespace carat {

class Chat;
class Conversation;

// Of a text, for one line: no more than fits, without control characters.
std::string first_line(std::string_view text);

// Used and free, and the tokens of each turn.
std::string describe_context(const Conversation& conversation);

// Of the last answer.
std::string describe_stats(const Chat& chat);

// "info", "template", "params" or "prompt". Throws BadUsage.
std::string describe(Chat& chat, const std::string& what);

std::string describe_session(Chat& chat);

}  // namespace carat
