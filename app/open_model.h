// A path becomes a model that can be talked to: the one place that joins a file, a network and a tokenizer.
#pragma once
#include <memory>
#include <string>

#include "engine/file/model_file.h"
#include "engine/model.h"
#include "tokenizer/chat_frame.h"
#include "tokenizer/tokenizer.h"

namespace carat {

// The others look into the file's mapping, which stands first to be released last. Movable until a session or a
// decoder refers to it.
struct OpenModel {
  ModelFile file;
  Model model;
  std::unique_ptr<const Tokenizer> tokenizer;
  ChatFrame::Choice frame;
};

// Throws BadFile, Unsupported, BadVocabulary and NoResource.
OpenModel open_model(const std::string& path, const BackendOptions& options);

// The parts by themselves. What they return looks into `file`.
bool has_tokenizer(const ModelFile& file);
std::unique_ptr<const Tokenizer> open_tokenizer(const ModelFile& file);
ChatFrame::Choice choose_frame(const ModelFile& file, const Tokenizer& tokenizer);
std::string_view chat_template(const ModelFile& file);  // empty: none

}  // namespace carat
