// One request on its way: where it is, what it has answered, and its end, which is told exactly once, whoever comes
// first: the work, a failure, or the thread that ends the process over its head.
#pragma once
#include <mutex>
#include <string>

#include "app/interrupt.h"
#include "app/sink.h"
#include "app/stopwatch.h"

namespace carat {

// Passes events on to a sink, one at a time and none after the last. Any thread may call.
class Request : public Sink {
 public:
  // Who reads standard error is told of a deadline where it is the only request of the process.
  enum class Company { only, one_of_many };

  // Times in results count from `start`. The sink outlives it.
  Request(Sink& sink, Stopwatch start, Company company = Company::only)
      : sink_(sink), start_(start), company_(company) {}

  void on(const Event& event) override;
  void hold(const Delta& delta) override;

  void enter(Phase phase);
  Phase phase() const;

  // What is known before reply() begins: prompt, seed, memory, load time.
  void expect(const Result& so_far);

  // Adds to a reply's result what expect() was told and `ending` changes, and sends it; returns the exit code. An
  // answer that was ended before it began is an error event.
  int finish(Result result, const Ending& ending);

  // Something failed: an error event, or, where an answer has begun, a warning of the same code and the answer so far.
  void fail(const ErrorEvent& error);

  // From another thread, just before the process ends: with what was held back. If the work holds the sink for too
  // long, nothing is told.
  void abandon(const Ending& ending);

  // A line on how far it is.
  std::string status() const;

 private:
  void send(const Event& event);
  void send_failure(const ErrorEvent& error);
  bool is_due(const Progress& progress);
  void make_room(const Delta& delta);
  void note(const Delta& delta);
  void complete(Result& result, const Ending& ending) const;
  ErrorEvent ended_early(const Ending& ending) const;

  Sink& sink_;
  Stopwatch start_;
  Company company_;
  mutable std::timed_mutex mutex_;  // of all below
  bool ended_ = false;
  Phase phase_ = Phase::usage;
  Result so_far_;
  Delta held_;  // behind what so_far_ has
  double prefill_began_ms_ = 0, decode_began_ms_ = 0, progress_told_ms_ = -1e9;
};

}  // namespace carat
