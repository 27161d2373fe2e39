// Files that commands are asked to write.
#pragma once
#include <string>

namespace carat {

// Throws BadUsage if the file exists and is not to be replaced: before any work is done for it.
void check_target(const std::string& path, bool force);

}  // namespace carat
