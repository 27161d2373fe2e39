#include "app/reply.h"

#include <algorithm>
#include <cassert>

#include "app/stopwatch.h"

namespace carat {
namespace {

// Empty when stopped.
std::span<const float> read_prompt(Session& session, std::span<const TokenId> ids, const ReplyOptions& options,
                                   Sink& sink, const std::stop_token& stop) {
  if (options.progress_step == 0) return session.feed(ids, stop);
  const Stopwatch watch;
  std::span<const float> logits;
  for (std::size_t done = 0; done < ids.size();) {
    sink.on(Progress{Phase::prefill, done, ids.size(), "tokens", watch.ms()});
    const auto part = ids.subspan(done, std::min(options.progress_step, ids.size() - done));
    logits = session.feed(part, stop);
    if (logits.empty()) return {};
    done += part.size();
  }
  sink.on(Progress{Phase::prefill, ids.size(), ids.size(), "tokens", watch.ms()});
  return logits;
}

}  // namespace

void forget_middle(std::vector<TokenId>& ids, std::size_t keep, std::size_t context) {
  keep = std::min(keep, context / 2);
  const std::size_t kept_newest = std::max<std::size_t>(1, (context - keep) / 2);
  assert(ids.size() >= keep + kept_newest);
  ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(keep), ids.end() - static_cast<std::ptrdiff_t>(kept_newest));
}

Reply reply(Session& session, Sampler& sampler, std::span<const TokenId> prompt, const Tokenizer& tokenizer,
            const ReplyOptions& options, Sink& sink, const std::stop_token& stop) {
  const Stopwatch watch;
  Reply reply;
  Result& result = reply.result;
  const std::size_t cached = session.position();
  std::span<const float> logits = read_prompt(session, prompt.subspan(cached), options, sink, stop);
  reply.read = !logits.empty();
  result.timings.prompt_ms = watch.ms();
  if (!reply.read) {
    result.reason = FinishReason::interrupted;
    return reply;
  }

  const Stopwatch writing;
  ReplyWriter writer(tokenizer, options, sink);
  Timings timings = result.timings;
  const auto on_token = [&](TokenId id, std::span<const float> chosen_from) {
    if (reply.ids.empty()) timings.ttft_ms = watch.ms();
    reply.ids.push_back(id);
    return writer.push(id, chosen_from);
  };
  std::vector<TokenId> all;  // of the session, once it has been shifted
  TokenId end_token = -1;
  StopReason reason = StopReason::context_full;
  for (bool goes_on = true; goes_on;) {
    const Limits limits = {options.max_tokens - reply.ids.size(), options.end_tokens, options.filter, &end_token};
    const std::size_t before = reply.ids.size();
    reason = generate(session, sampler, logits, limits, on_token, stop, options.drafter);
    goes_on = reason == StopReason::context_full && options.shift_keeping.has_value();
    if (!goes_on) break;
    if (all.empty()) all.assign(prompt.begin(), prompt.end());
    all.insert(all.end(), reply.ids.begin() + static_cast<std::ptrdiff_t>(before), reply.ids.end());
    sampler.note(all.back());  // generate() has not: it could not feed it
    forget_middle(all, *options.shift_keeping, session.context());
    const std::size_t position = session.rewind(std::min(*options.shift_keeping, session.context() / 2));
    logits = session.feed(std::span(all).subspan(position), stop);
    if (!logits.empty()) continue;
    reason = StopReason::cancelled;
    goes_on = false;
  }
  result = writer.finish(reason, end_token);
  result.timings = timings;
  result.timings.predicted_ms = writing.ms();
  result.timings.total_ms = watch.ms();
  result.usage.prompt_tokens = prompt.size();
  result.usage.cached_tokens = cached;
  result.memory.kv = session.cache_bytes();
  result.seed = sampler.options().seed;
  return reply;
}

}  // namespace carat
