// --think N: thoughts that have become long enough are ended, so that the answer begins.
#pragma once
#include <cstddef>
#include <vector>

#include "app/thoughts.h"
#include "engine/token_filter.h"
#include "tokenizer/stream_decoder.h"

namespace carat {

// Lets a model think for so many tokens; then the end of its thoughts is all that it may write next.
class ThoughtBudget : public TokenFilter {
 public:
  // The tokenizer outlives it. `begins_text` as of StreamDecoder.
  ThoughtBudget(const Tokenizer& tokenizer, Thoughts thoughts, bool begins_text, std::size_t tokens);

  Next mask(std::span<float> logits) override;
  void accept(TokenId token) override;

 private:
  bool is_closing() const;

  StreamDecoder decoder_;
  ThoughtSplitter splitter_;
  std::size_t left_;            // tokens of thought
  std::vector<TokenId> close_;  // the end of thoughts
  std::size_t closed_ = 0;      // tokens of it that are written
};

}  // namespace carat
