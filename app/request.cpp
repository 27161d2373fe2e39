#include "app/request.h"

#include <cstdio>
#include <new>
#include <utility>

#include "app/exit_code.h"
#include "app/failure.h"
#include "app/log.h"
#include "app/machine.h"

namespace carat {
namespace {

using Kind = Ending::Kind;

constexpr double kProgressMs = 200;
constexpr auto kPatience = std::chrono::milliseconds(100);  // within what Interrupt gives to last words

}  // namespace

void Request::on(const Event& event) {
  const std::lock_guard lock(mutex_);
  send(event);
}

void Request::hold(const Delta& delta) {
  const std::lock_guard lock(mutex_);
  held_ = delta;
}

// With the mutex held.
void Request::send(const Event& event) {
  if (ended_) return;
  const auto* const progress = std::get_if<Progress>(&event);
  if (progress != nullptr && !is_due(*progress)) return;
  const auto* const delta = std::get_if<Delta>(&event);
  if (delta != nullptr) make_room(*delta);
  try {
    sink_.on(event);
  } catch (const std::bad_alloc&) {  // nothing was told
    throw;
  } catch (...) {  // nobody is there to be told
    ended_ = is_terminal(event);
    throw;
  }
  ended_ = is_terminal(event);
  if (delta != nullptr) note(*delta);
}

// No more than five a second, and the last of each phase.
bool Request::is_due(const Progress& progress) {
  const double now = start_.ms();
  if (progress.done < progress.total && now - progress_told_ms_ < kProgressMs) return false;
  progress_told_ms_ = now;
  return true;
}

// So that note() takes no memory: what was told is what the result says.
void Request::make_room(const Delta& delta) {
  if (delta.channel == Channel::answer) so_far_.text.reserve(so_far_.text.size() + delta.text.size());
  if (delta.channel != Channel::reasoning) return;
  if (!so_far_.reasoning) so_far_.reasoning.emplace();
  so_far_.reasoning->reserve(so_far_.reasoning->size() + delta.text.size());
}

void Request::note(const Delta& delta) {
  held_ = {};
  if (phase_ != Phase::decode) {
    phase_ = Phase::decode;
    decode_began_ms_ = start_.ms();
    so_far_.timings.ttft_ms = so_far_.timings.prompt_ms = decode_began_ms_ - prefill_began_ms_;
  }
  so_far_.usage.completion_tokens += delta.ids.size();
  if (delta.channel == Channel::reasoning) so_far_.usage.reasoning_tokens += delta.ids.size();
  (delta.channel == Channel::answer ? so_far_.text : *so_far_.reasoning) += delta.text;
}

void Request::enter(Phase phase) {
  const std::lock_guard lock(mutex_);
  phase_ = phase;
  if (phase == Phase::prefill) prefill_began_ms_ = start_.ms();
}

Phase Request::phase() const {
  const std::lock_guard lock(mutex_);
  return phase_;
}

void Request::expect(const Result& so_far) {
  const std::lock_guard lock(mutex_);
  so_far_ = so_far;
}

// What reply() cannot know.
void Request::complete(Result& result, const Ending& ending) const {
  result.timings.load_ms = so_far_.timings.load_ms;
  if (result.timings.ttft_ms > 0) result.timings.ttft_ms += prefill_began_ms_;
  result.timings.total_ms = start_.ms();
  result.memory.weights = so_far_.memory.weights;
  result.memory.peak_rss = peak_resident_bytes();
  const bool unmet = result.constraint && !result.constraint->satisfied;
  result.exit_code = ending ? ending.exit_code() : unmet ? kExitConstraint : kExitDone;
  if (ending && result.reason == FinishReason::interrupted && ending.kind == Kind::timeout) {
    result.reason = FinishReason::timeout;
  }
  // It came between the last token and here: the answer is whole.
  const bool is_whole = ending.kind == Kind::timeout && result.reason != FinishReason::timeout;
  if (is_whole) result.exit_code = unmet ? kExitConstraint : kExitDone;
}

ErrorEvent Request::ended_early(const Ending& ending) const {
  const std::string where = " in phase '" + std::string(phase_name(phase_)) + "'";
  if (ending.kind == Kind::timeout) {
    return {"timeout", "the deadline came" + where, "a larger --timeout", phase_, kExitTimeout, true};
  }
  if (ending.kind == Kind::cancelled) return {"cancelled", "cancelled", "", phase_, ending.exit_code(), false};
  if (ending.kind == Kind::fault) return describe(ending.fault, phase_);
  return {"interrupted", "ended from outside" + where, "", phase_, ending.exit_code(), false};
}

int Request::finish(Result result, const Ending& ending) {
  const std::lock_guard lock(mutex_);
  if (ending && result.usage.completion_tokens == 0 && result.reason == FinishReason::interrupted) {
    const ErrorEvent error = ended_early(ending);
    send(error);
    if (ending.kind == Kind::timeout && company_ == Company::only) log_error(error.message, error.hint);
    return error.exit_code;
  }
  complete(result, ending);
  send(result);
  return result.exit_code;
}

void Request::fail(const ErrorEvent& error) {
  const std::lock_guard lock(mutex_);
  send_failure(error);
}

// With the mutex held.
void Request::send_failure(const ErrorEvent& error) {
  if (so_far_.usage.completion_tokens == 0) return send(error);
  send(Warning{error.code, error.message});
  Result result = so_far_;
  result.reason = FinishReason::error;
  result.timings.predicted_ms = start_.ms() - decode_began_ms_;
  complete(result, {});
  result.exit_code = error.exit_code;
  send(result);
}

void Request::abandon(const Ending& ending) {
  const bool is_fault = ending.kind == Kind::fault;
  if (!mutex_.try_lock_for(kPatience) && !is_fault) return;  // and never unlocked: nothing may follow
  if (ended_) return;                                        // who holds it in a fault, waits in that
  if (is_fault) return send_failure(ended_early(ending));
  if (!held_.ids.empty() || !held_.text.empty()) send(std::exchange(held_, {}));
  if (so_far_.usage.completion_tokens == 0) {
    const ErrorEvent error = ended_early(ending);
    send(error);
    if (ending.kind == Kind::timeout && company_ == Company::only) log_error(error.message, error.hint);
    return;
  }
  Result result = so_far_;
  result.reason = FinishReason::interrupted;
  result.timings.predicted_ms = start_.ms() - decode_began_ms_;
  complete(result, ending);
  send(result);
}

std::string Request::status() const {
  const std::unique_lock lock(mutex_, kPatience);
  if (!lock.owns_lock()) return "waiting for a reader of standard output";
  char line[160];
  const std::size_t tokens = so_far_.usage.completion_tokens;
  const double ms = start_.ms();
  const double writing_ms = phase_ == Phase::decode ? ms - decode_began_ms_ : 0;
  std::snprintf(line, sizeof line, "%s, %.1f s: prompt %zu tokens, answer %zu tokens (%.1f tok/s)",
                std::string(phase_name(phase_)).c_str(), ms / 1000, so_far_.usage.prompt_tokens, tokens,
                writing_ms > 0 ? static_cast<double>(tokens) * 1000 / writing_ms : 0.0);
  return line;
}

}  // namespace carat
