// Everything that is said on standard error.
#pragma once
#include <string>
#include <string_view>

namespace carat {

// Before anything is said, once.
void start_log();

// Whether the word "error" is coloured: as in shows_colour(). Until this is called, "auto".
void set_log_colour(std::string_view when);

// Below 0: errors alone; 0: notes too; above: details.
void set_log_verbosity(int verbosity);

// From now on, all but what was asked for goes to the end of a file, too, with the time. False if that cannot be
// opened.
bool log_to_file(const std::string& path);

// "carat: error: MESSAGE" and, if there is one, "hint: HINT"; each in one line, whatever a file made it say.
void log_error(std::string_view message, std::string_view hint = {});
// What the user did not ask for but should know.
void log_note(std::string_view message);
void log_detail(std::string_view message);

// A line as it is, whatever the verbosity: what was asked for, like figures or help.
void say(std::string_view line);
// The same without a line end, for what the user types behind it.
void say_inline(std::string_view text);

}  // namespace carat
