// What Tab offers in a line of a chat: commands, and what each of them takes.
#pragma once
#include <string_view>

#include "app/line_editor.h"

namespace carat {

Completion complete_chat_line(std::string_view text);

}  // namespace carat
