// Splits text into the words that byte-pair encoding must not merge across.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

namespace carat {

// One way to split: what files name as `tokenizer.ggml.pre` (gguf.md, section 8.2).
struct SplitRule {
  std::vector<std::string_view> names;
  std::vector<std::string_view> patterns;  // applied in turn, each to what the ones before left
  bool ignore_merges = false;              // a word that is a token is that token, whatever the merges make of it
  bool add_bos = false;                    // unless the file says otherwise
};

// The rule of that name; an empty name is "default". Throws BadVocabulary, with the names there are, for any other.
const SplitRule& split_rule(std::string_view name);

// A rule, compiled.
class Pretokenizer {
 public:
  explicit Pretokenizer(const SplitRule& rule);
  ~Pretokenizer();
  Pretokenizer(const Pretokenizer&) = delete;
  Pretokenizer& operator=(const Pretokenizer&) = delete;

  // The words of `text`, in order and without gaps. `text` must be UTF-8. Time is linear in its length.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  class Pattern;
  std::vector<std::unique_ptr<const Pattern>> patterns_;
};

}  // namespace carat
