// One conversation with a model: what it has read, and what it thinks comes next.
#pragma once
#include <algorithm>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/forward.h"

namespace carat {

struct SessionOptions {
  std::size_t context = 0;  // positions there is room for; at least 1
  std::size_t batch = 512;  // tokens of one step, at most
  CacheTypes cache{};
};

// Bytes that sessions take when their contexts are full, told before they are made. What the backend packs besides is
// small. Throws Unsupported for a type of cache that does not fit the model.
struct SessionMemory {
  std::size_t cache = 0;    // keys and values
  std::size_t scratch = 0;  // activations
};
SessionMemory session_memory(const ModelConfig& config, const SessionOptions& options, std::size_t sequences = 1);

// Owns the position, so that nobody else counts. Not thread-safe. The model outlives it.
class Session {
 public:
  // Reserves the memory of the whole context; it is committed as it is used. Throws std::bad_alloc, and Unsupported for
  // a type of cache that does not fit the model.
  Session(const Model& model, const SessionOptions& options);

  // Appends `ids` (each below the vocabulary, at most room() of them, at least one) and returns the logits after the
  // last: [vocabulary], valid until the next call. Empty when `stop` was asked for on the way: the position is then
  // behind the last whole batch.
  std::span<const float> feed(std::span<const TokenId> ids, const std::stop_token& stop = {});

  // The same with the logits of every position, from the `skip`-th of `ids` on, in order; false when stopped.
  using OnLogits = std::function<void(std::size_t index, std::span<const float> logits)>;
  bool feed(std::span<const TokenId> ids, std::size_t skip, const OnLogits& on_logits,
            const std::stop_token& stop = {});

  std::size_t position() const { return position_; }
  std::size_t room() const { return context_ - position_; }
  std::size_t context() const { return context_; }
  std::size_t cache_bytes() const { return cache_.bytes(); }

  // Appends `ids`, at most max_few() of them, in one step, with the logits after each. false when stopped.
  bool feed_few(std::span<const TokenId> ids, const std::stop_token& stop = {});
  // The logits after the i-th of them, until the next step.
  std::span<const float> logits_after(std::size_t i);
  std::size_t max_few() const { return std::min(kFewRows, batch_); }

  // Forgets what lies behind `position`, if the rings of the windowed layers still hold what comes before it;
  // otherwise everything. Returns the position reached, from which the caller feeds again.
  std::size_t rewind(std::size_t position);

  // What it takes to go on elsewhere, besides the position: the parts of the cache that are written once a session has
  // been as far as `furthest`, and how far this one has been.
  std::vector<Tensor> cache_parts(std::size_t furthest) const { return cache_.written(furthest); }
  std::size_t furthest() const { return furthest_; }
  void copy_out(std::span<std::byte> out, const Tensor& part) const;
  // Goes on where another session was: `contents` are what copy_out() made of its parts, each of the same size here.
  // At most context() positions, and `position` is not behind `furthest`.
  void resume(std::size_t position, std::size_t furthest, std::span<const std::span<const std::byte>> contents);

 private:
  // One step of at most a batch; false when stopped, with nothing appended.
  bool step(std::span<const TokenId> ids, const std::stop_token& stop);
  // Of rows [first, first + count) of the last step, at most kLogitRows.
  Tensor logits_of(std::size_t first, std::size_t count, std::size_t few);
  std::span<const float> read(const Tensor& logits, std::size_t row);
  Backend& holder(const Tensor& part) const;

  const Model& model_;
  std::size_t context_, batch_;
  std::size_t position_ = 0;
  std::size_t furthest_ = 0;  // position up to which the cache was written since it was last empty
  KvCache cache_;
  Scratch scratch_;
  std::vector<SequenceId> sequence_;     // [batch], all 0
  std::vector<std::int32_t> positions_;  // [batch]
  std::vector<float> logits_;            // [vocabulary]
  Tensor after_each_;                    // [ids of feed_few(), vocabulary]
};

}  // namespace carat
