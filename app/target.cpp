#include "app/target.h"

#include <filesystem>

#include "app/failure.h"

namespace carat {

void check_target(const std::string& path, bool force) {
  std::error_code ignored;  // what cannot be looked at cannot be written either, which is said then
  if (std::filesystem::is_directory(path, ignored)) throw BadUsage("'" + path + "' is a folder", "name a file in it");
  if (!force && std::filesystem::exists(std::filesystem::symlink_status(path, ignored)))
    throw BadUsage("'" + path + "' exists", "--force replaces it");
}

}  // namespace carat
