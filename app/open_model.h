// A path becomes a model that can be talked to: the one place that joins a file, a network and a tokenizer.
#pragma once
#include <memory>
#include <string>

#include "engine/file/model_file.h"
#include "engine/model.h"
#include "tokenizer/chat_frame.h"
#include "tokenizer/tokenizer.h"

namespace carat {

// A model's file and, where that is another one, its tokenizer's: .sbs files of before 2025 have none inside.
struct ModelFiles {
  ModelFile file;
  MappedFile tokenizer;  // a SentencePiece model, or nothing
};

// The file at `path`, or the model inside the program if that is its name. Throws BadFile, Unsupported and NoResource.
ModelFile open_file(const std::string& path, const Loading& loading = {});

// `tokenizer_path` may be empty. Throws BadFile and Unsupported.
ModelFiles open_files(const std::string& path, const std::string& tokenizer_path, const Loading& loading = {});

// The others look into the files' mappings, which stand first to be released last. Movable until a session or a
// decoder refers to it.
struct OpenModel {
  ModelFiles files;
  Model model;
  std::unique_ptr<const Tokenizer> tokenizer;
  ChatFrame::Choice frame;
};

// Throws BadFile, Unsupported and NoResource.
OpenModel open_model(ModelFiles files, const BackendOptions& options);

// The parts by themselves. What they return looks into the files.
bool has_tokenizer(const ModelFiles& files);
std::unique_ptr<const Tokenizer> open_tokenizer(const ModelFiles& files);
ChatFrame::Choice choose_frame(const ModelFile& file, const Tokenizer& tokenizer);
std::string_view chat_template(const ModelFile& file);  // empty: none

}  // namespace carat
