#include "app/worker.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <set>

#include "app/failure.h"
#include "app/interrupt.h"
#include "app/job.h"
#include "app/log.h"
#include "app/memory_need.h"
#include "app/worker_input.h"

namespace carat {
namespace {

using Kind = Ending::Kind;

constexpr std::size_t kMaxWaiting = 1024;  // requests; more are left in the pipe

const Ending kCancelled = {Kind::cancelled};

// The end of a request that has not begun.
ErrorEvent unbegun(const Ending& ending) {
  const bool is_late = ending.kind == Kind::timeout;
  if (ending.kind == Kind::fault) return describe(ending.fault, Phase::input);
  return {is_late ? "timeout" : "interrupted", "ended before it began", "", Phase::input, ending.exit_code(), is_late};
}

// All requests of a process.
class Worker {
 public:
  Worker(const RunOptions& options, const Asker& asker, Interrupt& interrupt)
      : o_(options),
        asker_(asker),
        batch_(asker.model().model, {options.parallel, asker.context(), options.context.step(), options.context.cache}),
        last_words_(
            interrupt, [this](const Ending& ending) { abandon(ending); }, [this] { return status(); }),
        interrupt_(interrupt),
        watch_(interrupt) {}

  // Until there is no more to do; returns the exit code. A failure that is no request's own ends them all.
  int work();

 private:
  void serve();
  using Jobs = std::list<std::unique_ptr<Job>>;
  using Queue = std::list<WorkerRequest>;

  void take_lines();
  bool take_next_line();
  void take_line(const std::string& line);
  void refuse(const std::string& id, std::size_t line, const std::exception_ptr& failure);
  void cancel(const std::string& id);
  void end_late();
  void begin_waiting();
  void begin(Queue::iterator at);
  void end_waiting(Queue::iterator at, const ErrorEvent& error);
  void step_all();
  void write(Jobs::iterator at, std::span<const float> logits);
  void attempt(Jobs::iterator at, const std::function<void(Job&)>& work);
  void end_all(const Ending& ending);
  void fail_all(const ErrorEvent& error);
  void tell_end();
  void end(Jobs::iterator at, StopReason reason, const Ending& ending);
  void remove(Jobs::iterator at);
  std::unique_ptr<Sink> make_sink(const std::string& id);
  void abandon(const Ending& ending);
  std::string status() const;

  const RunOptions& o_;
  const Asker& asker_;
  Output output_;
  LineReader input_;
  Queue waiting_;
  std::timed_mutex mutex_;  // of the lists of those that wait and run, which last words look at
  Batch batch_;
  Jobs running_;
  std::set<std::string> ids_;  // of those that wait or run
  std::atomic<std::size_t> requests_ = 0, failed_ = 0;
  Interrupt::LastWords last_words_;
  Interrupt& interrupt_;
  Interrupt::Watch watch_;
  std::optional<Interrupt::Clock::time_point> alarm_;  // that is set
};

void Worker::serve() {
  for (;;) {
    take_lines();
    begin_waiting();
    const Ending ending = watch_.ending();
    if (ending && ending.kind != Kind::alarm) {
      return end_all(ending);
    }
    if (ending) watch_.renew(ending);
    end_late();
    if (running_.empty() && waiting_.empty() && input_.ended()) return;
    step_all();
  }
}

int Worker::work() {
  try {
    serve();
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception&) {
    const ErrorEvent error = describe(std::current_exception(), Phase::decode);
    log_error(error.message, error.hint);
    try {
      fail_all(error);
      tell_end();
    } catch (const std::exception&) {  // of the output itself: what failed was said
    }
    return error.exit_code;
  }
  if (!watch_.ending()) interrupt_.clear_deadline();
  tell_end();
  const Ending ending = watch_.ending();
  if (ending && ending.kind != Kind::alarm) return ending.exit_code();
  return failed_ > 0 ? kExitBatch : kExitDone;
}

// Waits for input only if there is nothing else to do.
void Worker::take_lines() {
  if (waiting_.size() >= kMaxWaiting) return;
  const bool is_idle = running_.empty() && waiting_.empty() && !input_.ended();
  input_.read(is_idle ? -1 : 0, watch_.descriptor());
  while (take_next_line()) {
  }
}

// False: there is none yet.
bool Worker::take_next_line() {
  std::optional<std::string> line;
  try {
    line = input_.next();
  } catch (const BadUsage&) {
    ++requests_;
    refuse("", input_.number(), std::current_exception());
    return true;
  }
  if (line) take_line(*line);
  return line.has_value();
}

void Worker::take_line(const std::string& line) {
  const std::size_t number = input_.number();
  std::string id;
  try {
    auto parsed = parse_worker_line(line, number, o_, id);
    if (const auto* const cancellation = std::get_if<Cancellation>(&parsed)) return cancel(cancellation->id);
    auto& asked = std::get<WorkerRequest>(parsed);
    if (ids_.contains(id)) {
      throw BadUsage("line " + std::to_string(number) + ": request '" + asked.id + "' is not finished yet");
    }
    ++requests_;
    Queue one;
    one.push_back(std::move(asked));
    ids_.insert(id);
    const std::lock_guard lock(mutex_);
    waiting_.splice(waiting_.end(), one);
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception&) {
    ++requests_;
    refuse(ids_.contains(id) ? "" : id, number, std::current_exception());
  }
}

// Without an id: a line that is no request, or not to be told from another.
void Worker::refuse(const std::string& id, std::size_t line, const std::exception_ptr& failure) {
  ErrorEvent error = describe(failure, id.empty() ? Phase::input : Phase::tokenize);
  error.line = line;
  ++failed_;
  make_sink(id)->on(std::move(error));
}

void Worker::cancel(const std::string& id) {
  const auto queued = std::ranges::find(waiting_, id, &WorkerRequest::id);
  if (queued != waiting_.end()) {
    return end_waiting(queued, {"cancelled", "cancelled", "", Phase::input, kCancelled.exit_code(), false});
  }
  const auto at = std::ranges::find(running_, id, [](const auto& job) { return job->id(); });
  if (at != running_.end()) end(at, StopReason::cancelled, kCancelled);
}

// Those whose time is up. The alarm stops a step for the next of them; the others lose what it has read of theirs.
void Worker::end_late() {
  using Moment = std::optional<Interrupt::Clock::time_point>;
  const auto now = Interrupt::Clock::now();
  Moment next;
  const auto is_late = [&](const Moment& deadline) {
    if (deadline && *deadline > now && (!next || *deadline < *next)) next = deadline;
    return deadline && *deadline <= now;
  };
  for (auto at = running_.begin(); at != running_.end();) {
    const auto job = at++;
    if (is_late((*job)->deadline())) end(job, StopReason::cancelled, {Kind::timeout});
  }
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto asked = at++;
    if (!is_late(asked->deadline)) continue;
    ++failed_;
    end_waiting(asked, unbegun({Kind::timeout}));
  }
  if (next != alarm_) interrupt_.set_alarm(next);
  alarm_ = next;
}

void Worker::begin_waiting() {
  while (running_.size() < o_.parallel && !waiting_.empty()) begin(waiting_.begin());
}

// A request is in one of the lists until its end is told by whoever takes it out, so that last words find each once.
void Worker::begin(Queue::iterator at) {
  const std::string id = at->id;
  const std::size_t line = at->line;
  try {
    auto job = std::make_unique<Job>(asker_, make_sink(id), batch_, *at, asker_.prepare(at->query));
    {
      const std::lock_guard lock(mutex_);
      running_.push_back(std::move(job));
      waiting_.erase(at);
    }
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception&) {
    const std::lock_guard lock(mutex_);
    refuse(id, line, std::current_exception());
    ids_.erase(id);
    waiting_.erase(at);
    return;
  }
  attempt(std::prev(running_.end()), [](Job& job) { job.begin(); });
}

void Worker::end_waiting(Queue::iterator at, const ErrorEvent& error) {
  const std::lock_guard lock(mutex_);
  make_sink(at->id)->on(error);
  ids_.erase(at->id);
  waiting_.erase(at);
}

void Worker::step_all() {
  const auto on_logits = [this](SequenceId sequence, std::span<const float> logits) {
    write(std::ranges::find(running_, sequence, [](const auto& job) { return job->sequence(); }), logits);
  };
  batch_.step(on_logits, watch_.token());
  for (const auto& job : running_) job->tell_progress();
}

void Worker::write(Jobs::iterator at, std::span<const float> logits) {
  attempt(at, [&](Job& job) {
    if (const auto reason = job.write(logits)) end(at, *reason, {});
  });
}

// Does something for one request: that it fails is the end of that request alone.
void Worker::attempt(Jobs::iterator at, const std::function<void(Job&)>& work) {
  Request& request = (*at)->request();
  try {
    work(**at);
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception&) {
    request.fail(describe(std::current_exception(), request.phase()));
    ++failed_;
    remove(at);
  }
}

void Worker::end_all(const Ending& ending) {
  while (!running_.empty()) end(running_.begin(), StopReason::cancelled, ending);
  for (; !waiting_.empty(); ++failed_) end_waiting(waiting_.begin(), unbegun(ending));
}

void Worker::fail_all(const ErrorEvent& error) {
  for (const auto& job : running_) job->request().fail(error);
  failed_ += running_.size();
  for (; !waiting_.empty(); ++failed_) end_waiting(waiting_.begin(), error);
  const std::lock_guard lock(mutex_);
  running_.clear();
}

void Worker::tell_end() {
  output_.write(json_line({{"type", "end"}, {"requests", requests_.load()}, {"failed", failed_.load()}}));
  output_.flush();
}

void Worker::end(Jobs::iterator at, StopReason reason, const Ending& ending) {
  if (!(*at)->finish(reason, ending) && ending.kind != Kind::cancelled) ++failed_;
  remove(at);
}

void Worker::remove(Jobs::iterator at) {
  ids_.erase((*at)->id());
  const std::lock_guard lock(mutex_);
  running_.erase(at);
}

std::unique_ptr<Sink> Worker::make_sink(const std::string& id) {
  const auto shows = o_.output.format == OutputFormat::json ? JsonSink::Shows::the_end : JsonSink::Shows::everything;
  const ModelFacts& facts = asker_.facts();
  return std::make_unique<JsonSink>(
      output_, shows, RequestLabel{.id = id, .source = o_.output.source, .model = facts.name, .bits = facts.bits});
}

void Worker::abandon(const Ending& ending) {
  if (!mutex_.try_lock_for(std::chrono::milliseconds(50))) return;  // and never unlocked: nothing may follow
  for (const auto& job : running_) job->request().abandon(ending);
  for (const WorkerRequest& asked : waiting_) make_sink(asked.id)->on(unbegun(ending));
  failed_ += running_.size() + waiting_.size();
  tell_end();
}

std::string Worker::status() const {
  return std::to_string(requests_) + " requests, " + std::to_string(failed_) + " failed";
}

}  // namespace

int run_worker(const RunOptions& o, Call& call) {
  const std::string path = o.model.take_path(call.words);
  if (!call.words.empty()) throw BadUsage("'" + call.words.front() + "': the prompts come on standard input");
  const Stopwatch loading;
  const BackendOptions backend = o.backend.options();
  const OpenModel model =
      open_model(open_files(path, o.model.tokenizer, o.load.loading()), o.backend, backend, o.context, o.parallel);
  const Asker asker(o, model, backend.threads, loading.ms());
  for (const Warning& warning : asker.warnings()) log_note(warning.message);
  check_memory(model.files.file, model.model, {asker.context(), o.context.step(), o.context.cache}, o.parallel);
  return Worker(o, asker, call.interrupt).work();
}

}  // namespace carat
