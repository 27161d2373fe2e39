#include "app/job.h"

#include <algorithm>

#include "app/exit_code.h"
#include "app/reply.h"

namespace carat {

Job::Job(const Asker& asker, std::unique_ptr<Sink> sink, Batch& batch, WorkerRequest asked, PreparedQuery query)
    : asker_(asker),
      sink_(std::move(sink)),
      batch_(batch),
      asked_(std::move(asked)),
      query_(std::move(query)),
      seat_(batch),
      sampler_(query_.sampling, asker.model().model.config.vocabulary),
      request_(*sink_, Stopwatch(), Request::Company::one_of_many),
      writer_(*asker.model().tokenizer, query_.reply, request_),
      ids_(query_.prompt) {
  for (const TokenId id : query_.prompt) sampler_.note(id);
  batch_.feed(sequence(), query_.prompt);
}

void Job::begin() {
  request_.on(asker_.start(query_));
  for (const Warning& warning : query_.warnings) request_.on(warning);
  request_.expect(asker_.expected(query_, batch_.cache_bytes()));
  request_.enter(Phase::prefill);
  reading_ = Stopwatch();
}

void Job::tell_progress() {
  if (writing_ || query_.reply.progress_step == 0) return;
  const std::size_t done = batch_.position(sequence());
  if (done == told_) return;
  told_ = done;
  request_.on(Progress{Phase::prefill, done, query_.prompt.size(), "tokens", reading_.ms()});
}

std::optional<StopReason> Job::write(std::span<const float> logits) {
  tell_progress();
  if (!writing_) {
    writing_.emplace();
    timings_.prompt_ms = reading_.ms();
  }
  if (query_.reply.max_tokens == 0) return StopReason::token_limit;
  std::span<const float> choices = logits;
  if (const auto end = apply_filter(query_.reply.filter, choices, allowed_)) return end;
  const TokenId token = sampler_.pick(choices);
  if (std::ranges::binary_search(query_.reply.end_tokens, token)) {
    end_token_ = token;
    return StopReason::end_token;
  }
  if (query_.reply.filter != nullptr) query_.reply.filter->accept(token);
  if (writer_.tokens() == 0) timings_.ttft_ms = reading_.ms();
  if (!writer_.push(token, logits)) return StopReason::cancelled;
  if (writer_.tokens() == query_.reply.max_tokens) return StopReason::token_limit;
  if (batch_.room(sequence()) == 0 && !query_.reply.shift_keeping) return StopReason::context_full;
  read(token);
  return std::nullopt;
}

// Has the sequence read what was just written; where it is full, anew from what is left of it.
void Job::read(TokenId token) {
  sampler_.note(token);
  ids_.push_back(token);
  if (batch_.room(sequence()) > 0) return batch_.feed(sequence(), {&token, 1});
  forget_middle(ids_, *query_.reply.shift_keeping, asker_.context());
  seat_.renew();
  batch_.feed(sequence(), ids_);
}

bool Job::finish(StopReason reason, const Ending& ending) {
  Result result = writer_.finish(reason, end_token_);
  result.timings = timings_;
  result.timings.predicted_ms = writing_ ? writing_->ms() : 0;
  result.usage.prompt_tokens = query_.prompt.size();
  result.memory.kv = batch_.cache_bytes();
  result.seed = query_.sampling.seed;
  if (const auto warning = asker_.ending_warning(asked_.query, result.reason)) request_.on(*warning);
  if (const auto unmet = query_.judge(result)) request_.on(*unmet);
  return request_.finish(std::move(result), ending) == kExitDone;
}

}  // namespace carat
