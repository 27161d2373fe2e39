// One answer of a model, from the logits of its prompt to its last event.
#pragma once
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "app/sink.h"
#include "engine/generate.h"
#include "tokenizer/tokenizer.h"

namespace carat {

struct ReplyOptions {
  std::size_t max_tokens = 0;
  std::vector<TokenId> end_tokens;
  std::vector<std::string> stop_texts;
  bool begins_text = true;   // not: the answer goes on with the last word of the prompt
  Lookup* lookup = nullptr;  // knows the prompt; may be absent
};

struct Reply {
  FinishReason reason;
  std::vector<TokenId> ids;  // written; without the end token
};

// Reads `ids` into the session and tells the sink; empty when `stop` was asked for on the way.
std::span<const float> read_prompt(Session& session, std::span<const TokenId> ids, Sink& sink,
                                   const std::stop_token& stop);

// Writes until something says stop. The session has read the prompt, whose logits these are.
Reply write_reply(Session& session, Sampler& sampler, std::span<const float> logits, const Tokenizer& tokenizer,
                  const ReplyOptions& options, Sink& sink, const std::stop_token& stop);

}  // namespace carat
