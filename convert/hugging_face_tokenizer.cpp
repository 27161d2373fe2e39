#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "convert/hugging_face.h"
#include "convert/sentencepiece.h"
#include "engine/error.h"
#include "engine/file/mapped_file.h"
#include "engine/file/quote.h"

namespace carat {

namespace {

constexpr std::size_t kMaxTokens = std::size_t{1} << 24;

// What the other files of the folder say about the tokens.
struct TokenizerConfig {
  std::string bos, eos, padding, unknown;  // spelled; empty: not said
  std::optional<bool> add_bos, add_eos;
  std::string chat_template;
  std::map<std::size_t, std::pair<std::string, bool>> added;  // id: token, and whether it is special
};

// The text under `key`; empty where there is none, or something else.
std::string text_at(const Json& json, const char* key) {
  const bool there = json.is_object() && json.contains(key) && json[key].is_string();
  return there ? json[key].get<std::string>() : "";
}

// "<s>", or an object with more about it.
std::string spelled(const JsonKeys& keys, const char* key) {
  if (!keys.has(key)) return {};
  const Json& value = keys.at(key);
  if (value.is_string()) return value.get<std::string>();
  return text_at(value, "content");
}

std::string read_chat_template(const std::filesystem::path& folder, const JsonKeys& keys) {
  const std::filesystem::path own = folder / "chat_template.jinja";
  if (std::filesystem::exists(own)) {
    const MappedFile file = MappedFile::open(own);
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }
  if (!keys.has("chat_template")) return {};
  const Json& value = keys.at("chat_template");
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return {};
  for (const Json& item : value)
    if (text_at(item, "name") == "default") return text_at(item, "template");
  return {};
}

void add_token(TokenizerConfig& config, const Json& token, std::optional<std::size_t> id) {
  if (!token.is_object()) return;
  if (!id && token.contains("id") && token["id"].is_number_unsigned()) id = token["id"].get<std::size_t>();
  const bool special = token.contains("special") && token["special"].is_boolean() && token["special"].get<bool>();
  if (id && *id < kMaxTokens && token.contains("content") && token["content"].is_string())
    config.added[*id] = {token["content"].get<std::string>(), special};
}

TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder) {
  TokenizerConfig config;
  const std::string path = (folder / "tokenizer_config.json").string();
  if (!std::filesystem::exists(path)) return config;
  const Json json = read_json(path);
  const JsonKeys keys(json, path);
  config.bos = spelled(keys, "bos_token");
  config.eos = spelled(keys, "eos_token");
  config.padding = spelled(keys, "pad_token");
  config.unknown = spelled(keys, "unk_token");
  if (keys.has("add_bos_token")) config.add_bos = keys.flag_or("add_bos_token", false);
  if (keys.has("add_eos_token")) config.add_eos = keys.flag_or("add_eos_token", false);
  config.chat_template = read_chat_template(folder, keys);
  if (keys.has("added_tokens_decoder") && keys.at("added_tokens_decoder").is_object())
    for (const auto& [id, token] : keys.at("added_tokens_decoder").items())
      if (!id.empty() && id.size() < 9 && std::ranges::all_of(id, [](char c) { return c >= '0' && c <= '9'; }))
        add_token(config, token, std::stoul(id));
  return config;
}

// The pre-tokenisers of byte-level vocabularies that a GGUF file has a name for, by a piece of their pattern.
struct PreTokenizer {
  std::string_view name;
  std::string_view pattern;
};
constexpr std::array kPreTokenizers = {
    PreTokenizer{"llama-bpe", "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"},
    PreTokenizer{"qwen2", "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"},
};

// What a pre-tokenizer of tokenizer.json does, as far as it matters here.
struct Splitting {
  std::string pattern;
  bool digits = false, bytes = false, gpt2 = false;
};

void read_splitting(const Json& json, Splitting& found) {
  if (!json.is_object()) return;
  const std::string type = text_at(json, "type");
  if (type == "Sequence" && json.contains("pretokenizers") && json["pretokenizers"].is_array())
    for (const Json& part : json["pretokenizers"]) read_splitting(part, found);
  if (type == "Digits") found.digits = true;
  if (type == "ByteLevel") {
    found.bytes = true;
    found.gpt2 = !json.contains("use_regex") || json["use_regex"] == true;
  }
  if (type == "Split" && json.contains("pattern")) found.pattern = text_at(json["pattern"], "Regex");
}

std::string pre_tokenizer_name(const Splitting& splitting, const std::string& path) {
  for (const PreTokenizer& known : kPreTokenizers)
    if (splitting.pattern.find(known.pattern) != std::string::npos) return std::string(known.name);
  if (splitting.pattern.empty() && splitting.gpt2) return splitting.digits ? "smollm" : "gpt-2";
  throw Unsupported(path + ": pre_tokenizer: splits by " + quote(splitting.pattern, 200) +
                    ", which is none that GGUF files have a name for");
}

// tokenizer.json: byte-pair encoding, of bytes or of characters with bytes to fall back on.
struct BpeFile {
  PieceVocabulary vocabulary;
  std::vector<std::string> merges;  // "left right"
  Splitting splitting;
};

std::string read_merge(const Json& merge, const std::string& path) {
  if (merge.is_string() && merge.get_ref<const std::string&>().find(' ', 1) != std::string::npos)
    return merge.get<std::string>();
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string() && merge[0] != "")
    return merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  throw BadFile(path + ": model.merges: holds what is no pair of tokens");
}

// Ids stay below `end`: the memory that a file takes is not for a number in it to decide.
void put_piece(PieceVocabulary& vocabulary, std::size_t id, std::size_t end, const std::string& text, PieceType type,
               const std::string& path) {
  if (id >= std::min(end, kMaxTokens))
    throw BadFile(path + ": token " + quote(text) + ": its id " + std::to_string(id) + " is too large");
  if (vocabulary.pieces.size() <= id) vocabulary.pieces.resize(id + 1, {"", 0, PieceType::unused});
  vocabulary.pieces[id] = {text, vocabulary.pieces[id].score, type};
}

BpeFile read_tokenizer_json(const std::filesystem::path& file, std::size_t rows, TokenizerConfig& config) {
  const std::string path = file.string();
  const Json json = read_json(file);
  const JsonKeys keys(json, path);
  const JsonKeys model(keys.at("model"), path);
  if (model.text_or("type", "BPE") != "BPE")
    throw Unsupported(path + ": model.type: " + quote(model.text_or("type", "")) + " is not supported; expected BPE");
  BpeFile bpe;
  if (keys.has("pre_tokenizer")) read_splitting(keys.at("pre_tokenizer"), bpe.splitting);
  const Json& tokens = model.at("vocab");
  const std::size_t added = keys.has("added_tokens") ? keys.at("added_tokens").size() : 0;
  const std::size_t end = std::max(rows, tokens.size() + added + config.added.size());
  for (const auto& [token, id] : tokens.items()) {
    if (!id.is_number_unsigned()) throw BadFile(path + ": model.vocab: " + quote(token) + ": has no id");
    put_piece(bpe.vocabulary, id.get<std::size_t>(), end, token, PieceType::normal, path);
  }
  for (const Json& merge : model.at("merges")) bpe.merges.push_back(read_merge(merge, path));
  if (keys.has("added_tokens"))
    for (const Json& token : keys.at("added_tokens")) add_token(config, token, std::nullopt);
  return bpe;
}

// Beyond the rows there may be a few tokens, for images.
void apply_added(PieceVocabulary& vocabulary, const TokenizerConfig& config, std::size_t rows,
                 const std::string& path) {
  const std::size_t end = std::max(rows, vocabulary.pieces.size()) + config.added.size();
  for (const auto& [id, token] : config.added) {
    const bool control = token.second || looks_special(token.first);
    const bool is_unknown = id < vocabulary.pieces.size() && vocabulary.pieces[id].type == PieceType::unknown;
    if (!is_unknown)
      put_piece(vocabulary, id, end, token.first, control ? PieceType::control : PieceType::user_defined, path);
  }
}

std::int32_t find_id(const PieceVocabulary& vocabulary, const std::string& text) {
  const auto at =
      text.empty() ? vocabulary.pieces.end() : std::ranges::find(vocabulary.pieces, text, &VocabularyPiece::text);
  return at == vocabulary.pieces.end() ? -1 : static_cast<std::int32_t>(at - vocabulary.pieces.begin());
}

// The special ids: as spelled in tokenizer_config.json, else as numbered in config.json and generation_config.json.
void find_special_ids(const std::filesystem::path& folder, const TokenizerConfig& config, PieceVocabulary& vocabulary) {
  const auto numbered = [&](const char* key) -> std::int32_t {
    for (const char* name : {"config.json", "generation_config.json"}) {
      if (!std::filesystem::exists(folder / name)) continue;
      const Json json = read_json(folder / name);
      if (!json.is_object() || !json.contains(key)) continue;
      const Json& value = json[key].is_array() && !json[key].empty() ? json[key][0] : json[key];
      if (value.is_number_unsigned() && value.get<std::uint64_t>() < kMaxTokens) return value.get<std::int32_t>();
    }
    return -1;
  };
  const auto choose = [&](std::int32_t& id, const std::string& text, const char* key) {
    const std::int32_t said = find_id(vocabulary, text);
    const std::int32_t number = said >= 0 ? said : numbered(key);
    if (number >= 0) id = number;
  };
  choose(vocabulary.bos, config.bos, "bos_token_id");
  choose(vocabulary.eos, config.eos, "eos_token_id");
  choose(vocabulary.padding, config.padding, "pad_token_id");
  choose(vocabulary.unknown, config.unknown, "unk_token_id");
}

// A vocabulary of characters: what is merged earlier has the higher score, so that merging by score is the same.
void score_by_merges(BpeFile& bpe) {
  std::map<std::string, std::size_t> rank;
  for (std::size_t i = 0; i < bpe.merges.size(); ++i) {
    std::string whole = bpe.merges[i];
    whole.erase(whole.find(' ', 1), 1);
    rank.emplace(std::move(whole), i);
  }
  for (VocabularyPiece& piece : bpe.vocabulary.pieces) {
    const bool is_byte = piece.text.size() == 6 && piece.text.starts_with("<0x");
    if (is_byte && piece.type == PieceType::normal) piece.type = PieceType::byte;
    const auto at = rank.find(piece.text);
    if (piece.type == PieceType::normal)
      piece.score = at != rank.end() ? -static_cast<float>(at->second) : -static_cast<float>(bpe.merges.size());
  }
}

void set_bytes_vocabulary(GgufWriter& writer, BpeFile bpe, const TokenizerConfig& config, std::size_t rows,
                          const std::string& path) {
  const std::string pre = pre_tokenizer_name(bpe.splitting, path);
  const bool pads = bpe.vocabulary.padding >= 0;
  set_vocabulary(writer, std::move(bpe.vocabulary), rows);
  writer.set("tokenizer.ggml.model", std::string_view("gpt2"));
  writer.set("tokenizer.ggml.pre", std::string_view(pre));
  writer.unset("tokenizer.ggml.add_space_prefix");
  writer.unset("tokenizer.ggml.add_bos_token");
  // Llama 3 says nothing in its files; its post-processor puts BOS first.
  if (config.add_bos || pre == "llama-bpe") writer.set("tokenizer.ggml.add_bos_token", config.add_bos.value_or(true));
  if (pads) writer.set("tokenizer.ggml.add_padding_token", false);
  writer.set_array("tokenizer.ggml.merges", std::vector<std::string_view>(bpe.merges.begin(), bpe.merges.end()));
}

std::filesystem::path find_tokenizer(const std::filesystem::path& folder, const std::filesystem::path& chosen) {
  if (!chosen.empty()) return chosen;
  for (const char* name : {"tokenizer.model", "tokenizer.json"})
    if (std::filesystem::exists(folder / name)) return folder / name;
  throw BadFile(folder.string() + ": has neither tokenizer.model nor tokenizer.json: name one (--tokenizer)");
}

}  // namespace

std::size_t read_folder_tokenizer(const std::filesystem::path& folder, const std::filesystem::path& chosen,
                                  const FolderConfig& config, GgufWriter& writer) {
  const std::filesystem::path path = find_tokenizer(folder, chosen);
  TokenizerConfig tokens = read_tokenizer_config(folder);
  BpeFile bpe;
  const bool is_json = path.extension() == ".json";
  if (is_json) {
    bpe = read_tokenizer_json(path, config.vocabulary, tokens);
  } else {
    const MappedFile file = MappedFile::open(path);
    bpe.vocabulary = parse_sentencepiece(file.bytes(), path.string());
  }
  apply_added(bpe.vocabulary, tokens, config.vocabulary, path.string());
  if (is_json) bpe.vocabulary.unknown = bpe.vocabulary.bos = bpe.vocabulary.eos = -1;
  find_special_ids(folder, tokens, bpe.vocabulary);
  bpe.vocabulary.add_bos = tokens.add_bos.value_or(true);
  bpe.vocabulary.add_eos = tokens.add_eos.value_or(false);
  if (config.is_gemma()) bpe.vocabulary.add_space_prefix = false;

  // Gemma 3 has more rows than tokens, for images, which are cut; others are padded, and so are their tokens.
  const std::size_t size = bpe.vocabulary.pieces.size();
  const std::size_t rows = config.architecture == "gemma3" ? std::min(size, config.vocabulary) : config.vocabulary;
  if (bpe.splitting.bytes) {
    set_bytes_vocabulary(writer, std::move(bpe), tokens, rows, path.string());
  } else {
    if (is_json) score_by_merges(bpe);
    set_vocabulary(writer, std::move(bpe.vocabulary), rows);
  }
  if (!tokens.chat_template.empty()) writer.set("tokenizer.chat_template", std::string_view(tokens.chat_template));
  return rows;
}

}  // namespace carat
