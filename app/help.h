// What there is to be had, in a page; and the rows of the table of commands by name.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "app/commands.h"

namespace carat {

std::string_view built_from();  // the commit; empty: not built in a repository
std::string overview();
std::vector<std::string> command_names();
const CommandRow* find_command(std::string_view name);  // null: no such command

}  // namespace carat
