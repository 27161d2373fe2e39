// /set: the flags of sampling, by their names, while the chat goes on.
#pragma once
#include <string>
#include <vector>

namespace carat {

class Chat;

// The names, each with a space behind it.
std::vector<std::string> setting_names();

// A line for each, as it is in force.
std::string list_settings(Chat& chat);

// "NAME VALUE", where `_` and `-` are the same and dashes in front are let go. Throws BadUsage.
void change_setting(Chat& chat, const std::string& text);

}  // namespace carat
