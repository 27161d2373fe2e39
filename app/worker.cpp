#include "app/worker.h"

#include <algorithm>
#include <atomic>
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

constexpr Ending kCancelled = {Kind::cancelled};

// All requests of a process.
class Worker {
 public:
  Worker(const RunOptions& options, const Asker& asker, Interrupt& interrupt)
      : o_(options),
        asker_(asker),
        batch_(asker.model().model, {options.parallel, asker.context(), options.context.batch, options.context.cache}),
        last_words_(
            interrupt, [this](const Ending& ending) { abandon(ending); }, [this] { say(status()); }),
        interrupt_(interrupt),
        watch_(interrupt) {}

  int work();

 private:
  using Jobs = std::list<std::unique_ptr<Job>>;

  void take_lines();
  void take_line(const std::string& line);
  void refuse(const std::string& id, std::size_t line, const std::exception_ptr& failure);
  void cancel(const std::string& id);
  void begin_waiting();
  void begin(WorkerRequest asked);
  void step_all();
  void write(Jobs::iterator at, std::span<const float> logits);
  void end_all(const Ending& ending);
  void end(Jobs::iterator at, StopReason reason, const Ending& ending);
  void remove(Jobs::iterator at);
  std::unique_ptr<Sink> make_sink(const std::string& id);
  void abandon(const Ending& ending);
  std::string status() const;

  const RunOptions& o_;
  const Asker& asker_;
  Output output_;
  LineReader input_;
  std::deque<WorkerRequest> waiting_;
  std::timed_mutex mutex_;  // of the list of those that run, which last words look at
  Batch batch_;
  Jobs running_;
  std::set<std::string> ids_;  // of those that wait or run
  std::atomic<std::size_t> requests_ = 0, failed_ = 0;
  Interrupt::LastWords last_words_;
  Interrupt& interrupt_;
  Interrupt::Watch watch_;
};

int Worker::work() {
  for (;;) {
    take_lines();
    begin_waiting();
    if (const Ending ending = watch_.ending()) {
      end_all(ending);
      break;
    }
    if (running_.empty() && waiting_.empty() && input_.ended()) break;
    step_all();
  }
  interrupt_.clear_deadline();
  output_.write(json_line({{"type", "end"}, {"requests", requests_.load()}, {"failed", failed_.load()}}));
  output_.flush();
  if (const Ending ending = watch_.ending()) return ending.exit_code();
  return failed_ > 0 ? kExitBatch : kExitDone;
}

// Waits for input only if there is nothing else to do.
void Worker::take_lines() {
  if (waiting_.size() >= kMaxWaiting) return;
  const bool is_idle = running_.empty() && waiting_.empty() && !input_.ended();
  input_.read(is_idle ? -1 : 0, watch_.descriptor());
  while (const auto line = input_.next()) take_line(*line);
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
    ids_.insert(id);
    waiting_.push_back(std::move(asked));
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
    waiting_.erase(queued);
    ids_.erase(id);
    make_sink(id)->on(ErrorEvent{"cancelled", "cancelled", "", Phase::input, kCancelled.exit_code(), false});
    return;
  }
  const auto at = std::ranges::find(running_, id, [](const auto& job) { return job->id(); });
  if (at != running_.end()) end(at, StopReason::cancelled, kCancelled);
}

void Worker::begin_waiting() {
  while (running_.size() < o_.parallel && !waiting_.empty()) {
    WorkerRequest asked = std::move(waiting_.front());
    waiting_.pop_front();
    begin(std::move(asked));
  }
}

void Worker::begin(WorkerRequest asked) {
  const std::string id = asked.id;
  const std::size_t line = asked.line;
  try {
    PreparedQuery query = asker_.prepare(asked.query);
    auto job = std::make_unique<Job>(asker_, make_sink(id), batch_, std::move(asked), std::move(query));
    const std::lock_guard lock(mutex_);
    running_.push_back(std::move(job));
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception&) {
    ids_.erase(id);
    refuse(id, line, std::current_exception());
  }
}

void Worker::step_all() {
  const auto on_logits = [this](SequenceId sequence, std::span<const float> logits) {
    write(std::ranges::find(running_, sequence, [](const auto& job) { return job->sequence(); }), logits);
  };
  batch_.step(on_logits, watch_.token());
  for (const auto& job : running_) job->tell_progress();
}

void Worker::write(Jobs::iterator at, std::span<const float> logits) {
  try {
    if (const auto reason = (*at)->write(logits)) end(at, *reason, {});
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception&) {
    Request& request = (*at)->request();
    request.on(describe(std::current_exception(), request.phase()));
    ++failed_;
    remove(at);
  }
}

void Worker::end_all(const Ending& ending) {
  while (!running_.empty()) end(running_.begin(), StopReason::cancelled, ending);
  for (const WorkerRequest& asked : waiting_) {
    const bool is_late = ending.kind == Kind::timeout;
    make_sink(asked.id)->on(ErrorEvent{is_late ? "timeout" : "interrupted", "ended before it began", "", Phase::input,
                                       ending.exit_code(), is_late});
    ++failed_;
  }
  waiting_.clear();
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
  const std::unique_lock lock(mutex_, std::chrono::milliseconds(50));
  if (!lock.owns_lock()) return;
  for (const auto& job : running_) job->request().abandon(ending);
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
  const OpenModel model = open_model(open_files(path, o.model.tokenizer), backend);
  const Asker asker(o, model, backend.threads, loading.ms());
  for (const Warning& warning : asker.warnings()) log_note(warning.message);
  check_memory(model.files.file, model.model.config, {asker.context(), o.context.batch, o.context.cache}, o.parallel);
  return Worker(o, asker, call.interrupt).work();
}

}  // namespace carat
