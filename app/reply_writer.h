// Tokens in, events out: what a reply's tokens come to as text, and where that text ends it.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/sink.h"
#include "app/stop_text.h"
#include "app/thoughts.h"
#include "engine/generate.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace carat {

struct ReplyOptions {
  std::size_t max_tokens = 0;
  std::vector<TokenId> end_tokens = {};
  std::vector<std::string> stop_texts = {};  // looked for in the answer, not in thoughts
  bool begins_text = true;                   // not: the answer goes on with the last word of the prompt
  Thoughts thoughts = Thoughts::none;
  std::optional<std::size_t> logprobs = {};  // of each token, and of that many others
  std::size_t progress_step = 0;             // tokens of the prompt to read between two Progress events; 0: none
  // A full context forgets its older half, but for so many tokens at its beginning, and goes on. For a session that
  // was empty before the prompt.
  std::optional<std::size_t> shift_keeping = {};
  TokenFilter* filter = nullptr;  // what may be written; none: anything
  Lookup* lookup = nullptr;       // what drafts are looked up in, the prompt noted; not with shift_keeping
};

// The tokenizer, the options and the sink outlive it.
class ReplyWriter {
 public:
  ReplyWriter(const Tokenizer& tokenizer, const ReplyOptions& options, Sink& sink)
      : tokenizer_(tokenizer),
        options_(options),
        sink_(sink),
        decoder_(tokenizer, options.begins_text),
        splitter_(options.thoughts),
        stop_text_(options.stop_texts) {}

  // A token, with the logits that it was chosen from ([vocabulary]; needed for logprobs alone). False once the reply
  // has ended at a stop text.
  bool push(TokenId id, std::span<const float> logits = {});

  // Shows what was held back. The result has texts, reason, stop and the usage of the completion; the rest is the
  // caller's to fill in. `end_token` is the one of StopReason::end_token.
  Result finish(StopReason reason, TokenId end_token);

  std::size_t tokens() const { return tokens_; }

 private:
  void show(std::vector<ThoughtSplitter::Part> parts);
  Delta held_back() const;
  void emit(Channel channel, std::string text);

  const Tokenizer& tokenizer_;
  const ReplyOptions& options_;
  Sink& sink_;
  StreamDecoder decoder_;
  ThoughtSplitter splitter_;
  StopText stop_text_;
  std::string answer_, reasoning_;
  std::size_t tokens_ = 0, reasoning_tokens_ = 0;
  Delta next_;  // what goes with the next text
};

}  // namespace carat
