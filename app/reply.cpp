#include "app/reply.h"

#include <chrono>

#include "app/stop_text.h"
#include "tokenizer/stream_decoder.h"

namespace carat {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

FinishReason finish_reason(StopReason reason, bool found_stop_text) {
  switch (reason) {
    case StopReason::end_token:
      return FinishReason::stop;
    case StopReason::token_limit:
      return FinishReason::length;
    case StopReason::context_full:
      return FinishReason::context;
    case StopReason::cancelled:
      break;
  }
  return found_stop_text ? FinishReason::stop : FinishReason::interrupted;
}

}  // namespace

std::span<const float> read_prompt(Session& session, std::span<const TokenId> ids, Sink& sink,
                                   const std::stop_token& stop) {
  const Stopwatch watch;
  const auto logits = session.feed(ids, stop);
  if (!logits.empty()) sink.on(PromptRead{ids.size(), watch.seconds()});
  return logits;
}

Reply write_reply(Session& session, Sampler& sampler, std::span<const float> logits, const Tokenizer& tokenizer,
                  const ReplyOptions& options, Sink& sink, const std::stop_token& stop) {
  const Stopwatch watch;
  Reply reply;
  StreamDecoder decoder(tokenizer, options.begins_text);
  StopText stop_text(options.stop_texts);
  const auto on_token = [&](TokenId id) {
    reply.ids.push_back(id);
    std::string text = stop_text.push(decoder.push(id));
    if (!text.empty()) sink.on(Piece{std::move(text)});
    return !stop_text.found();
  };
  const StopReason reason =
      generate(session, sampler, logits, {options.max_tokens, options.end_tokens}, on_token, stop, options.lookup);

  if (!stop_text.found()) {
    std::string rest = stop_text.push(decoder.flush());
    rest += stop_text.flush();
    if (!rest.empty()) sink.on(Piece{std::move(rest)});
  }
  reply.reason = finish_reason(reason, stop_text.found());
  sink.on(Finished{reply.reason, reply.ids.size(), watch.seconds()});
  return reply;
}

}  // namespace carat
