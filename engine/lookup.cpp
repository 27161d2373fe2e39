#include "engine/lookup.h"

#include <algorithm>
#include <cassert>

namespace carat {

namespace {

constexpr std::size_t kLongest = 32;     // agreeing tokens that are counted
constexpr std::size_t kCandidates = 16;  // places that are compared
constexpr std::size_t kFirstDraft = 4;

// In decode steps. Each token of a draft makes a step longer by a share of it, taken to be dearer here than where
// memory is what decoding waits for. Failed drafts may cost one step in fifty, and what a short text has not earned
// yet.
constexpr double kCostOfDraft = 0.25;
constexpr double kEarnedByStep = 0.02, kFirstCredit = 1, kMostCredit = 8;

}  // namespace

Lookup::Lookup(std::size_t context, std::size_t max_draft)
    : context_(context), max_draft_(max_draft), latest_(kBuckets), length_(kFirstDraft), credit_(kFirstCredit) {
  text_.reserve(context);
  earlier_.resize(context);
  draft_.reserve(max_draft);
}

std::size_t Lookup::bucket() const {
  std::uint64_t key = 0;
  for (std::size_t i = text_.size() - kKey; i < text_.size(); ++i)
    key = key * 0x9E3779B97F4A7C15u + static_cast<std::uint32_t>(text_[i]);
  return (key * 0x9E3779B97F4A7C15u >> 40) % kBuckets;
}

void Lookup::note(TokenId token) {
  const std::size_t at = text_.size();
  if (at == context_) return;
  if (at >= kKey) {
    std::uint32_t& latest = latest_[bucket()];
    // After a rewind a bucket may point behind the text; such places are skipped, and chains only lead back.
    earlier_[at] = latest < at ? latest : 0;
    latest = static_cast<std::uint32_t>(at);
  }
  text_.push_back(token);
}

std::size_t Lookup::longest_match() const {
  std::size_t best = 0, best_length = kKey - 1;
  std::size_t at = latest_[bucket()];
  for (std::size_t i = 0; i < kCandidates && at > 0; ++i, at = earlier_[at]) {
    if (at >= text_.size()) continue;
    std::size_t length = 0;
    while (length < std::min(at, kLongest) && text_[at - 1 - length] == text_[text_.size() - 1 - length]) ++length;
    if (length > best_length) best = at, best_length = length;
  }
  return best;
}

std::size_t Lookup::affordable(std::size_t limit) const {
  return std::min({limit, max_draft_, length_, static_cast<std::size_t>(std::max(credit_, 0.0) / kCostOfDraft)});
}

std::span<const TokenId> Lookup::draft(std::size_t limit) {
  draft_.clear();
  credit_ = std::min(credit_ + kEarnedByStep, kMostCredit);
  const std::size_t count = affordable(limit);
  if (count == 0 || text_.size() <= kKey) return draft_;
  const std::size_t from = longest_match();
  if (from == 0) return draft_;
  for (std::size_t i = 0; i < count; ++i)  // beyond the end of the text the draft goes on with itself
    draft_.push_back(from + i < text_.size() ? text_[from + i] : draft_[from + i - text_.size()]);
  return draft_;
}

void Lookup::came_true(std::size_t count) {
  const std::size_t drafted = draft_.size();
  if (drafted == 0) return;
  credit_ = std::min(credit_ + static_cast<double>(count) - kCostOfDraft * static_cast<double>(drafted), kMostCredit);
  length_ = count == drafted ? std::min(2 * drafted, max_draft_) : count + 1;
}

std::span<const float> LookAhead::feed(TokenId token, std::size_t more, const std::stop_token& stop) {
  if (lookup_ == nullptr) return session_.feed({&token, 1}, stop);
  lookup_->note(token);
  if (right_ < drafted_ && ids_[right_ + 1] == token) return session_.logits_after(++right_);
  settle();
  const auto draft = lookup_->draft(std::min({more, session_.room() - 1, session_.max_few() - 1}));
  if (draft.empty()) return session_.feed({&token, 1}, stop);
  ids_[0] = token;
  std::ranges::copy(draft, ids_.begin() + 1);
  if (!session_.feed_few(std::span(ids_).first(draft.size() + 1), stop)) return {};
  drafted_ = draft.size();
  return session_.logits_after(0);
}

// Takes back what did not come true. The rings of the windowed layers hold a batch more than the window, which is more
// than was drafted.
void LookAhead::settle() {
  if (drafted_ == 0) return;
  const std::size_t position = session_.position() - (drafted_ - right_);
  [[maybe_unused]] const std::size_t reached = session_.rewind(position);
  assert(reached == position);
  lookup_->came_true(right_);
  drafted_ = right_ = 0;
}

}  // namespace carat
