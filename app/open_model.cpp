#include "app/open_model.h"

#include <filesystem>
#include <limits>
#include <utility>
#include <variant>

#include "app/demo.h"
#include "app/failure.h"
#include "app/gpu_choice.h"
#include "app/log.h"
#include "app/machine.h"
#include "app/memory_need.h"
#include "engine/error.h"
#include "engine/file/gguf.h"
#include "engine/file/quote.h"
#include "engine/file/sbs.h"

namespace carat {
namespace {

constexpr std::string_view kKeys = "tokenizer.ggml.";

std::string key(std::string_view name) { return std::string(kKeys).append(name); }

// An id that the file names: none where it is no id at all, as in the 0xffffffff that some files write for "none".
TokenId special_id(const Metadata& metadata, std::string_view name, TokenId fallback) {
  const Value* const value = metadata.find(key(name).append("_token_id"));
  if (value == nullptr) return fallback;
  return std::visit(
      []<class T>(const T& v) -> TokenId {
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          if (std::in_range<TokenId>(v)) return static_cast<TokenId>(v);
        }
        return -1;
      },
      *value);
}

std::optional<bool> optional_flag(const Metadata& metadata, std::string_view name) {
  return metadata.has(key(name)) ? std::optional(metadata.flag(key(name))) : std::nullopt;
}

Vocabulary::Algorithm read_algorithm(const ModelFile& file) {
  const std::string_view name = file.metadata().text(key("model"));
  if (name == "llama") return Vocabulary::Algorithm::sentencepiece;
  if (name == "gpt2") return Vocabulary::Algorithm::byte_bpe;
  throw Unsupported(file.path() + ": " + key("model") + ": " + quote(name) +
                    " is not supported; known are llama, gpt2");
}

void read_special_ids(Vocabulary& vocabulary, const Metadata& metadata) {
  // Without the keys, SentencePiece's own defaults hold (gguf.md, section 8.1); the other kind has none that make
  // sense.
  const bool defaults = vocabulary.algorithm == Vocabulary::Algorithm::sentencepiece;
  vocabulary.bos = special_id(metadata, "bos", defaults ? 1 : -1);
  vocabulary.eos = special_id(metadata, "eos", defaults ? 2 : -1);
  vocabulary.unk = special_id(metadata, "unknown", defaults ? 0 : -1);
  vocabulary.eot = special_id(metadata, "eot", -1);
  vocabulary.eom = special_id(metadata, "eom", -1);
  vocabulary.pad = special_id(metadata, "padding", -1);
  if (metadata.has(key("eos_token_ids"))) {
    for (const std::int64_t id : metadata.integers(key("eos_token_ids"))) {
      if (std::in_range<TokenId>(id)) vocabulary.other_stops.push_back(static_cast<TokenId>(id));
    }
  }
}

// Early files of Llama 3 do not name their split rule, or name the wrong one (gguf.md, section 12).
void repair_split_rule(Vocabulary& vocabulary) {
  constexpr std::size_t kEndOfTurn = 128009;
  const bool is_llama3 = vocabulary.pieces.size() > kEndOfTurn && vocabulary.pieces[kEndOfTurn] == "<|eot_id|>";
  if (is_llama3 && (vocabulary.pre.empty() || vocabulary.pre == "default")) vocabulary.pre = "llama-bpe";
}

// Some files list more tokens than the network has rows for: those can be neither read nor written.
void drop_tokens_without_row(Vocabulary& vocabulary, const ModelFile& file) {
  const FileTensor* const embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->dims[1] >= vocabulary.pieces.size()) return;
  const auto rows = static_cast<std::size_t>(embedding->dims[1]);
  const auto shorten = [rows](auto& list) {
    if (list.size() > rows) list.resize(rows);
  };
  shorten(vocabulary.pieces);
  shorten(vocabulary.scores);
  shorten(vocabulary.kinds);
}

// The SentencePiece model that is used as it is: one that was named beside the file, or the file's own.
std::string_view sentencepiece_model(const ModelFiles& files) {
  const auto named = files.tokenizer.bytes();
  if (!named.empty()) return {reinterpret_cast<const char*>(named.data()), named.size()};
  return files.file.metadata().text_or(kSentencePieceKey, "");
}

void read_pieces(Vocabulary& vocabulary, const Metadata& metadata) {
  vocabulary.pre = metadata.text_or(key("pre"), "");
  vocabulary.pieces = metadata.texts(key("tokens"));
  if (metadata.has(key("scores"))) vocabulary.scores = metadata.reals(key("scores"));
  if (metadata.has(key("token_type"))) {
    for (const std::int64_t kind : metadata.integers(key("token_type"), 0, 6)) {
      vocabulary.kinds.push_back(kind == 0 ? PieceKind::normal : static_cast<PieceKind>(kind));  // 0: undefined
    }
  }
  if (metadata.has(key("merges"))) vocabulary.merges = metadata.texts(key("merges"));
}

Vocabulary read_vocabulary(const ModelFiles& files) {
  const ModelFile& file = files.file;
  const Metadata& metadata = file.metadata();
  Vocabulary vocabulary;
  vocabulary.algorithm = read_algorithm(file);
  vocabulary.sentencepiece_model = sentencepiece_model(files);
  if (vocabulary.sentencepiece_model.empty()) {
    if (!metadata.has(key("tokens"))) throw BadFile(file.path() + ": no tokenizer inside; name one with --tokenizer");
    read_pieces(vocabulary, metadata);
  }
  read_special_ids(vocabulary, metadata);
  vocabulary.add_bos = optional_flag(metadata, "add_bos_token");
  vocabulary.add_eos = optional_flag(metadata, "add_eos_token");
  vocabulary.add_space_prefix = optional_flag(metadata, "add_space_prefix");
  repair_split_rule(vocabulary);
  drop_tokens_without_row(vocabulary, file);
  return vocabulary;
}

}  // namespace

ModelFile open_file(const std::string& path, const Loading& loading) {
  std::error_code ignored;  // of a file that is not there, which is for the loader to say
  const std::uintmax_t size = loading.copies ? std::filesystem::file_size(path, ignored) : 0;
  if (!ignored && size > available_memory()) {
    throw Failure(
        kExitResource,
        path + ": takes " + size_name(size) + " to read at once, and " + size_name(available_memory()) + " are left",
        "--load-mode mmap reads it as it is needed", true);
  }
  if (path != kDemoName) return open_model_file(path, loading);
  if (loading.copies || loading.locks) log_note("the model inside is a part of the program, and loaded with it");
  return parse_gguf(demo_bytes(), path);
}

ModelFiles open_files(const std::string& path, const std::string& tokenizer_path, const Loading& loading) {
  ModelFile file = open_file(path, loading);
  return {std::move(file), tokenizer_path.empty() ? MappedFile() : MappedFile::open(tokenizer_path)};
}

bool has_tokenizer(const ModelFiles& files) {
  return files.file.metadata().has(key("tokens")) || !sentencepiece_model(files).empty();
}

std::unique_ptr<const Tokenizer> open_tokenizer(const ModelFiles& files) try {
  return make_tokenizer(read_vocabulary(files));
} catch (const BadVocabulary& e) {  // knows no file
  throw BadFile(files.file.path() + ": " + e.what());
}

std::string_view chat_template(const ModelFile& file) { return file.metadata().text_or("tokenizer.chat_template", ""); }

ChatFrame::Choice choose_frame(const ModelFile& file, const Tokenizer& tokenizer) {
  return ChatFrame::choose(chat_template(file), file.metadata().text_or("general.architecture", ""), tokenizer);
}

OpenModel open_model(ModelFiles files, const BackendFlags& flags, const BackendOptions& options,
                     const ContextFlags& context, std::size_t sequences) {
  Model model = load_placed(files.file, options, choose_gpu(flags, context, files.file, sequences));
  auto tokenizer = open_tokenizer(files);
  const std::string& path = files.file.path();
  if (tokenizer->size() > model.config.vocabulary) {
    throw BadFile(path + ": has rows for " + std::to_string(model.config.vocabulary) + " tokens, and the tokenizer " +
                  std::to_string(tokenizer->size()));
  }
  auto frame = choose_frame(files.file, *tokenizer);
  log_detail(path + ": " + model.config.architecture + ", " + std::to_string(model.config.layers.size()) + " layers; " +
             std::to_string(options.threads) + " threads, " + std::string(model.backend->name()) + "; " +
             std::to_string(model.gpu_layers) + " layers on a GPU; turns: " + std::string(frame.frame.name()));
  for (const std::string& name : model.weights.unused) log_detail(path + ": tensor " + quote(name) + " is not used");
  return {std::move(files), std::move(model), std::move(tokenizer), std::move(frame)};
}

}  // namespace carat
