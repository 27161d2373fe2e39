#include "app/model_names.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "app/demo.h"
#include "app/environment.h"
#include "app/user_path.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders() {
  std::vector<std::string> folders;
  std::string_view rest = environment("CARAT_MODELS");
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) folders.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return folders;
}

bool is_model(const fs::path& path) { return path.extension() == ".gguf" || path.extension() == ".sbs"; }

// "model-00002-of-00003" is a part of "model"; what is no part is a whole by itself.
struct PartName {
  std::string whole;
  bool is_first = true;
};

PartName part_name(const std::string& stem) {
  constexpr std::size_t kDigits = 5, kTail = 2 * kDigits + 5;  // "-00001-of-00003"
  if (stem.size() <= kTail) return {stem};
  const std::string tail = stem.substr(stem.size() - kTail);
  const auto digits = [&tail](std::size_t at) {
    return std::all_of(tail.begin() + static_cast<std::ptrdiff_t>(at),
                       tail.begin() + static_cast<std::ptrdiff_t>(at + kDigits),
                       [](char c) { return c >= '0' && c <= '9'; });
  };
  if (tail[0] != '-' || tail.substr(kDigits + 1, 4) != "-of-" || !digits(1) || !digits(kDigits + 5)) return {stem};
  return {stem.substr(0, stem.size() - kTail), tail.substr(1, kDigits) == "00001"};
}

std::vector<NamedModel> models_in(const std::string& folder) {
  std::map<std::string, NamedModel> models;
  std::error_code error;  // a folder that is not there has no models
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code unreadable;
    if (!is_model(at->path()) || !at->is_regular_file(unreadable)) continue;
    const PartName part = part_name(at->path().stem().string());
    NamedModel& model = models[part.whole + at->path().extension().string()];
    model.name = part.whole;
    model.bytes += at->file_size(unreadable);
    if (part.is_first) model.path = at->path().string();
  }
  std::vector<NamedModel> list;
  for (auto& [key, model] : models)
    if (!model.path.empty()) list.push_back(std::move(model));
  return list;
}

}  // namespace

std::vector<NamedModel> list_models() {
  std::vector<NamedModel> all = {{std::string(kDemoName), std::string(kDemoName), demo_bytes().size()}};
  for (const std::string& folder : folders()) {
    for (NamedModel& model : models_in(folder)) all.push_back(std::move(model));
  }
  return all;
}

std::vector<std::string> missing_model_folders() {
  std::vector<std::string> missing = folders();
  std::erase_if(missing, [](const std::string& folder) {
    std::error_code ignored;
    return fs::is_directory(folder, ignored);
  });
  return missing;
}

std::string find_model(std::string_view name) {
  for (const NamedModel& model : list_models()) {
    const std::string file = fs::path(model.path).filename().string();
    if (name == model.name || name == file || name == fs::path(file).stem().string()) return model.path;
  }
  return {};
}

std::string model_path(const std::string& given) {
  if (given.find('/') != std::string::npos || is_there(given)) return given;
  const std::string found = find_model(given);
  return found.empty() ? given : found;
}

}  // namespace carat
