// Tokens to text as they come: whole code points only.
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/tokenizer.h"

namespace carat {

// The bytes of tokens may end inside a code point: those are held back until the rest comes. What no further byte can
// make UTF-8 becomes U+FFFD.
class StreamDecoder {
 public:
  // `at_start`: the tokens begin a text, whose first space may be the one that encode() puts in front; it is dropped.
  // `tokenizer` must outlive the decoder.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool at_start = true)
      : tokenizer_(tokenizer), drops_space_(at_start && tokenizer.add_space_prefix()) {}

  // The text that the next token completes; often none.
  std::string push(TokenId id) { return push_bytes(tokenizer_.piece(id)); }
  std::string push_bytes(std::string_view bytes);

  // What was held back, at the end: U+FFFD if anything. The decoder can go on after it.
  std::string flush();

  // Whether any U+FFFD stands for bytes that were not UTF-8.
  bool lossy() const { return lossy_; }
  bool take_lossy() { return std::exchange(lossy_, false); }  // since the last call

 private:
  const Tokenizer& tokenizer_;
  std::string held_back_;  // at most three bytes: the beginning of a code point
  bool drops_space_;
  bool lossy_ = false;
};

}  // namespace carat
