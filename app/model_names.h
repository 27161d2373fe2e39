// Models by name: the one inside, and what lies in the folders of CARAT_MODELS.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

struct NamedModel {
  std::string name;  // the file's, without its ending
  std::string path;
  std::uint64_t bytes = 0;  // of all parts
};

// The one inside first, then in the order of the folders, in each by name. Of a model in several parts, the first
// stands for all.
std::vector<NamedModel> list_models();

// Those of the folders that are none.
std::vector<std::string> missing_model_folders();

// The path of a model's name, with or without the ending. Empty: none is called that.
std::string find_model(std::string_view name);

// The path of what was given for a model: a path already if it has a folder or is there, else perhaps a model's name.
std::string model_path(const std::string& given);

}  // namespace carat
