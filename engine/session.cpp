#include "engine/session.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>

namespace carat {

SessionMemory session_memory(const ModelConfig& config, const SessionOptions& o, std::size_t sequences) {
  const std::size_t batch = std::min(o.batch, o.context);
  return {KvCache::bytes(config, o.cache, sequences, o.context, batch),
          Scratch::bytes(config, batch, std::min(kLogitRows, batch))};
}

Session::Session(const Model& model, const SessionOptions& options)
    : model_(model),
      context_(options.context),
      batch_(std::min(options.batch, options.context)),
      cache_(model, options.cache, 1, context_, batch_),
      scratch_(model, batch_, std::min(kLogitRows, batch_)),
      sequence_(batch_, 0),
      positions_(batch_),
      logits_(model.config.vocabulary) {}

bool Session::step(std::span<const TokenId> ids, const std::stop_token& stop) {
  assert(!ids.empty() && ids.size() <= batch_ && ids.size() <= room());
  std::iota(positions_.begin(), positions_.begin() + static_cast<std::ptrdiff_t>(ids.size()),
            static_cast<std::int32_t>(position_));
  // Even a step that is stopped writes to the cache. A short one counts as the longest of a look-ahead, whose length is
  // a matter of time: what a rewind keeps must not be.
  furthest_ = std::max(furthest_, std::min(position_ + std::max(ids.size(), max_few()), context_));
  const Rows rows{std::span(sequence_).first(ids.size()), std::span(positions_).first(ids.size()),
                  ids.size() <= kFewRows ? ids.size() : 0};
  if (!forward(model_, cache_, scratch_, ids, rows, stop)) return false;
  position_ += ids.size();
  return true;
}

Tensor Session::logits_of(std::size_t first, std::size_t count, std::size_t few) {
  std::array<std::size_t, kLogitRows> rows;
  std::iota(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), first);
  return project(model_, scratch_, std::span(rows).first(count), few);
}

std::span<const float> Session::read(const Tensor& logits, std::size_t row) {
  model_.output_backend().read(logits_, row_view(logits, row, 1));
  return logits_;
}

std::span<const float> Session::feed(std::span<const TokenId> ids, const std::stop_token& stop) {
  assert(!ids.empty());
  std::size_t last = 0;
  while (!ids.empty()) {
    const auto part = ids.first(std::min(batch_, ids.size()));
    if (!step(part, stop)) return {};
    last = part.size() - 1;
    ids = ids.subspan(part.size());
  }
  return read(logits_of(last, 1, 1), 0);
}

bool Session::feed_few(std::span<const TokenId> ids, const std::stop_token& stop) {
  assert(ids.size() <= max_few());
  if (!step(ids, stop)) return false;
  after_each_ = logits_of(0, ids.size(), ids.size());
  return true;
}

std::span<const float> Session::logits_after(std::size_t i) { return read(after_each_, i); }

bool Session::feed(std::span<const TokenId> ids, std::size_t skip, const OnLogits& on_logits,
                   const std::stop_token& stop) {
  for (std::size_t done = 0; done < ids.size();) {
    const auto part = ids.subspan(done, std::min(batch_, ids.size() - done));
    if (!step(part, stop)) return false;
    for (std::size_t row = skip > done ? std::min(skip - done, part.size()) : 0; row < part.size();) {
      if (stop.stop_requested()) return false;
      const std::size_t count = std::min(scratch_.logits.rows, part.size() - row);
      const Tensor logits = logits_of(row, count, part.size() <= kFewRows ? count : 0);
      for (std::size_t i = 0; i < count; ++i, ++row) on_logits(done + row, read(logits, i));
    }
    done += part.size();
  }
  return true;
}

// The backend that has a part of the cache.
Backend& Session::holder(const Tensor& part) const {
  std::size_t layer = 0;
  while (cache_.layer(layer).k.where != part.where && cache_.layer(layer).v.where != part.where) ++layer;
  return model_.backend_of(layer);
}

void Session::copy_out(std::span<std::byte> out, const Tensor& part) const {
  assert(out.size() == byte_size(part));
  holder(part).read(out, part);
}

void Session::resume(std::size_t position, std::size_t furthest, std::span<const std::span<const std::byte>> contents) {
  assert(position <= furthest && furthest <= context_);
  const std::vector<Tensor> parts = cache_parts(furthest);
  assert(contents.size() == parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    assert(contents[i].size() == byte_size(parts[i]));
    holder(parts[i]).write(parts[i], contents[i]);
  }
  position_ = position;
  furthest_ = furthest;
}

std::size_t Session::rewind(std::size_t position) {
  position = std::min(position, position_);
  position_ = cache_.can_rewind(furthest_, position) ? position : 0;
  if (position_ == 0) furthest_ = 0;
  return position_;
}

}  // namespace carat
