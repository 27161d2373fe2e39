// Vocabularies of the test data: from GGUF files, and from vocab.json with merges.txt.
#pragma once
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "test/support/fixtures.h"
#include "tokenizer/tokenizer.h"

namespace carat::test {

// A vocabulary with the bytes that it looks into.
struct LoadedVocabulary {
  std::vector<char> file;
  std::deque<std::string> texts;
  Vocabulary vocabulary;
  std::string architecture, chat_template;
};

// Reads the metadata of a sound GGUF file, version 2 or 3, little-endian. Test support: it trusts the file.
class GgufMetadata {
 public:
  explicit GgufMetadata(const std::vector<char>& file) : bytes_(file.data(), file.size()) {
    at_ = 16;
    const auto keys = number<std::uint64_t>();
    for (std::uint64_t i = 0; i < keys; ++i) {
      const std::string_view key = text();
      const auto type = number<std::uint32_t>();
      if (type == kArray) {
        const auto element = number<std::uint32_t>();
        const auto count = number<std::uint64_t>();
        for (std::uint64_t j = 0; j < count; ++j) value(element, lists_[std::string(key)]);
      } else {
        value(type, lists_[std::string(key)]);
      }
    }
  }

  std::vector<std::string_view> list(const std::string& key) const {
    const auto found = lists_.find(key);
    return found == lists_.end() ? std::vector<std::string_view>() : found->second;
  }

  std::string string(const std::string& key) const {
    const auto values = list(key);
    return values.empty() ? std::string() : std::string(values[0]);
  }

  template <typename T>
  std::vector<T> numbers(const std::string& key) const {
    std::vector<T> values;
    for (const std::string_view bytes : list(key)) {
      T copy{};
      std::memcpy(&copy, bytes.data(), std::min(sizeof copy, bytes.size()));
      values.push_back(copy);
    }
    return values;
  }

  TokenId id(const std::string& name) const {
    const auto values = numbers<TokenId>("tokenizer.ggml." + name + "_token_id");
    return values.empty() ? -1 : values[0];
  }

  std::optional<bool> flag(const std::string& name) const {
    const auto values = numbers<std::uint8_t>("tokenizer.ggml." + name);
    return values.empty() ? std::nullopt : std::optional(values[0] != 0);
  }

 private:
  static constexpr std::uint32_t kString = 8, kArray = 9;

  template <typename T>
  T number() {
    T value{};
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string_view text() {
    const auto length = number<std::uint64_t>();
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }

  void value(std::uint32_t type, std::vector<std::string_view>& values) {
    constexpr std::size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kString) {
      values.push_back(text());
    } else {
      values.push_back(bytes_.substr(at_, kSizes[type]));
      at_ += kSizes[type];
    }
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::map<std::string, std::vector<std::string_view>> lists_;  // a single value is a list of one
};

inline LoadedVocabulary load_gguf(const std::filesystem::path& path) {
  LoadedVocabulary loaded;
  loaded.file = slurp(path);
  const GgufMetadata metadata(loaded.file);
  Vocabulary& vocabulary = loaded.vocabulary;
  vocabulary.algorithm = metadata.string("tokenizer.ggml.model") == "llama" ? Vocabulary::Algorithm::sentencepiece
                                                                            : Vocabulary::Algorithm::byte_bpe;
  vocabulary.pre = metadata.string("tokenizer.ggml.pre");
  vocabulary.pieces = metadata.list("tokenizer.ggml.tokens");
  vocabulary.scores = metadata.numbers<float>("tokenizer.ggml.scores");
  for (const auto kind : metadata.numbers<std::int32_t>("tokenizer.ggml.token_type")) {
    vocabulary.kinds.push_back(static_cast<PieceKind>(kind));
  }
  vocabulary.merges = metadata.list("tokenizer.ggml.merges");
  vocabulary.bos = metadata.id("bos");
  vocabulary.eos = metadata.id("eos");
  vocabulary.unk = metadata.id("unknown");
  vocabulary.pad = metadata.id("padding");
  vocabulary.add_bos = metadata.flag("add_bos_token");
  vocabulary.add_eos = metadata.flag("add_eos_token");
  vocabulary.add_space_prefix = metadata.flag("add_space_prefix");
  loaded.architecture = metadata.string("general.architecture");
  loaded.chat_template = metadata.string("tokenizer.chat_template");
  return loaded;
}

// A byte-level BPE vocabulary as Hugging Face stores it. `control` follow the tokens of vocab.json.
inline LoadedVocabulary load_hugging_face(const std::filesystem::path& vocab, const std::filesystem::path& merges,
                                          std::string pre, const std::vector<std::string>& control) {
  LoadedVocabulary loaded;
  Vocabulary& vocabulary = loaded.vocabulary;
  vocabulary.algorithm = Vocabulary::Algorithm::byte_bpe;
  vocabulary.pre = std::move(pre);
  const auto ids = nlohmann::json::parse(slurp_text(vocab));
  vocabulary.pieces.resize(ids.size());
  for (const auto& [text, id] : ids.items()) vocabulary.pieces[id.get<std::size_t>()] = loaded.texts.emplace_back(text);
  vocabulary.kinds.assign(ids.size(), PieceKind::normal);
  for (const std::string& text : control) {
    vocabulary.pieces.push_back(loaded.texts.emplace_back(text));
    vocabulary.kinds.push_back(PieceKind::control);
  }
  std::ifstream lines(merges);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && !line.starts_with("#version")) vocabulary.merges.push_back(loaded.texts.emplace_back(line));
  }
  return loaded;
}

inline LoadedVocabulary load_qwen2() {
  const auto folder = fixtures() / "tokenizer_qwen2";
  LoadedVocabulary loaded = load_hugging_face(folder / "vocab.json", folder / "merges.txt", "qwen2",
                                              {"<|endoftext|>", "<|im_start|>", "<|im_end|>"});
  loaded.vocabulary.eos = 151645;
  loaded.vocabulary.bos = 151643;
  loaded.vocabulary.add_bos = false;
  return loaded;
}

}  // namespace carat::test
