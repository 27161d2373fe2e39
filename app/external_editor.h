// The user's own editor, for a text that is too long for a line.
#pragma once
#include <string>

namespace carat {

// Whether $VISUAL or $EDITOR names one.
bool has_external_editor();

// Opens it on `text`, which becomes what was saved, without its last line end; false, with `text` as it was, if the
// editor failed. The terminal is the editor's meanwhile.
bool edit_externally(std::string& text);

}  // namespace carat
