#include "tokenizer/constraint/token_masks.h"

#include <algorithm>
#include <bit>

namespace carat {

bool TokenSet::empty() const {
  return std::ranges::all_of(words_, [](std::uint64_t word) { return word == 0; });
}

void TokenMasks::Mask::add_to(TokenSet& set) const {
  for (const TokenId id : few) set.add(id);
  const auto into = set.words();
  for (std::size_t i = 0; i < words.size(); ++i) into[i] |= words[i];
}

std::size_t TokenMasks::Hash::operator()(const Place& place) const {
  std::size_t hash = place.state;
  for (const std::uint32_t part :
       {place.counted.to, place.counted.rule, place.counted.min_left, place.counted.max_left}) {
    hash = (hash ^ part) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29;
  }
  return hash;
}

// No token is long enough to go through more rounds than it has bytes: higher counts are all the same.
TokenMasks::Place TokenMasks::place(const Runs& runs, const Runs::Run& run, Runs::FrameId& below) const {
  below = run.stack;
  if (run.stack == Runs::kBottom) return {run.state, {}, false};
  Runs::Frame frame = runs.frame(run.stack);
  if (frame.max_left == 0 || !automaton_.rule(frame.rule).is_short) return {run.state, {}, false};
  below = frame.below;
  frame.below = Runs::kBottom;
  const std::uint32_t many = trie_.depth() + 1U;
  frame.min_left = std::min(frame.min_left, many);
  frame.max_left = std::min(frame.max_left, many);
  return {run.state, frame, true};
}

const TokenMasks::Mask& TokenMasks::of(const Place& place) {
  const auto known = masks_.find(place);
  if (known != masks_.end()) return known->second;
  if (bytes_ > kMaxBytes) {
    masks_.clear();
    bytes_ = 0;
  }
  if (runs_.is_large()) runs_.clear();
  Mask mask = work_out(place);
  bytes_ += sizeof mask + mask.words.size() * 8 + mask.few.size() * 4 + mask.returns.size() * 4;
  return masks_.emplace(place, std::move(mask)).first->second;
}

TokenMasks::Mask TokenMasks::work_out(const Place& place) {
  Mask mask;
  scratch_.clear();
  const Runs::FrameId stack = place.is_counted ? runs_.push(place.counted) : Runs::kBottom;
  const Runs::SetId start = runs_.set_of({{place.state, stack}});
  walk(trie_, 0, runs_, start, scratch_, [&](std::uint32_t node, Runs::SetId set) {
    if (runs_.complete(set) && trie_[node].end > node + 1) mask.returns.push_back(node);
  });

  const auto words = scratch_.words();
  std::size_t count = 0;
  for (const std::uint64_t word : words) count += static_cast<std::size_t>(std::popcount(word));
  if (count * sizeof(TokenId) >= words.size_bytes()) {
    mask.words.assign(words.begin(), words.end());
    return mask;
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::uint64_t rest = words[i]; rest != 0; rest &= rest - 1) {
      mask.few.push_back(static_cast<TokenId>(i * 64 + static_cast<std::size_t>(std::countr_zero(rest))));
    }
  }
  return mask;
}

}  // namespace carat
