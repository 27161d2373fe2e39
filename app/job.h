// A request of a worker while it is answered, beside others.
#pragma once
#include "app/query.h"
#include "app/request.h"
#include "app/worker_input.h"
#include "engine/batch.h"

namespace carat {

// A sequence of a batch, which has one free; it leaves with this.
class Seat {
 public:
  explicit Seat(Batch& batch) : batch_(batch), sequence_(batch.enter().value()) {}
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() { batch_.leave(sequence_); }

  SequenceId sequence() const { return sequence_; }

  // One that has read nothing.
  void renew() {
    batch_.leave(sequence_);
    sequence_ = batch_.enter().value();
  }

 private:
  Batch& batch_;
  SequenceId sequence_;
};

// All references outlive it.
class Job {
 public:
  // Enters the batch, which has room for it.
  Job(const Asker& asker, std::unique_ptr<Sink> sink, Batch& batch, WorkerRequest asked, PreparedQuery query);
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Tells the sink that it has begun. Once, before all that follows.
  void begin();

  const std::string& id() const { return asked_.id; }
  SequenceId sequence() const { return seat_.sequence(); }
  Request& request() { return request_; }

  // How far the prompt is read, if that is to be told.
  void tell_progress();

  // All it was to read is read: writes the next token, to be read in turn. What ended it, if something has.
  std::optional<StopReason> write(std::span<const float> logits);

  // When it has to be answered; none: any time.
  std::optional<Interrupt::Clock::time_point> deadline() const { return asked_.deadline; }

  // Tells how it ended. False: it failed.
  bool finish(StopReason reason, const Ending& ending);

 private:
  void read(TokenId token);

  const Asker& asker_;
  std::unique_ptr<Sink> sink_;
  Batch& batch_;
  WorkerRequest asked_;
  PreparedQuery query_;
  Seat seat_;
  Sampler sampler_;
  Request request_;
  ReplyWriter writer_;
  std::vector<TokenId> ids_;    // of the sequence
  std::vector<float> allowed_;  // logits, where a constraint leaves them
  TokenId end_token_ = -1;
  Timings timings_;
  Stopwatch reading_;                 // the prompt
  std::optional<Stopwatch> writing_;  // since it was read
  std::size_t told_ = 0;              // tokens of the prompt
};

}  // namespace carat
