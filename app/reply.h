// One answer of a model, from the tokens of its prompt to its result.
#pragma once
#include <span>
#include <stop_token>
#include <vector>

#include "app/reply_writer.h"

namespace carat {

struct Reply {
  bool read = false;         // the prompt is in the session; if not, `result` says only how the reading ended
  Result result;             // without memory().weights and peak, load time and exit code, which the caller knows
  std::vector<TokenId> ids;  // written, without the end token. The last of them may not be in the session
};

// Makes room in a full context: what was read and written so far, as much as it holds and a token more, becomes its
// first `keep` tokens and the newer half of the rest.
void forget_middle(std::vector<TokenId>& ids, std::size_t keep, std::size_t context);

// Reads what the session does not have of `prompt` yet, which begins with what it has, and writes until something says
// stop. Deltas go to the sink; the result is the caller's to complete and to send. Notes the written tokens in the
// sampler; those of the prompt are the caller's. Times count from the call.
Reply reply(Session& session, Sampler& sampler, std::span<const TokenId> prompt, const Tokenizer& tokenizer,
            const ReplyOptions& options, Sink& sink, const std::stop_token& stop);

}  // namespace carat
