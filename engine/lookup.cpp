#include "engine/lookup.h"

#include <algorithm>
#include <cassert>
#include <chrono>

namespace carat {

namespace {

constexpr std::size_t kLongest = 32;     // agreeing tokens that are counted
constexpr std::size_t kCandidates = 16;  // places that are compared

// In decode steps: failed drafts may cost three in two hundred, and what a short text has not earned yet.
constexpr double kEarnedByStep = 0.015, kFirstCredit = 0.5, kMostCredit = 8;

// Once that many matches promised nothing, a draft of one token finds out whether it is still so.
constexpr std::size_t kTryAgain = 64;

constexpr double kForget = 32;  // tokens of drafts after which older ones count half

// The longer the match, the surer: up to 4 tokens, up to 8, up to 16, more.
std::size_t luck_class(std::size_t match) { return match <= 4 ? 0 : match <= 8 ? 1 : match <= 16 ? 2 : 3; }

}  // namespace

Lookup::Lookup(std::size_t context, std::size_t max_draft)
    : context_(context),
      max_draft_(max_draft),
      latest_(kBuckets),
      luck_{Luck{4, 3}, Luck{4, 3.2}, Luck{4, 3.4}, Luck{4, 3.6}},  // a first guess that a few drafts correct
      credit_(kFirstCredit) {
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

Lookup::Match Lookup::longest_match() const {
  Match best{0, kKey - 1};
  std::size_t at = latest_[bucket()];
  for (std::size_t i = 0; i < kCandidates && at > 0; ++i, at = earlier_[at]) {
    if (at >= text_.size()) continue;
    std::size_t length = 0;
    while (length < std::min(at, kLongest) && text_[at - 1 - length] == text_[text_.size() - 1 - length]) ++length;
    if (length > best.length) best = {at, length};
  }
  return best;
}

// The length of draft that saves the most: each token that comes true saves a step, all of them lengthen one.
std::size_t Lookup::worthwhile(std::size_t limit) const {
  const double chance = luck_[luck_class_].chance();
  std::size_t best = 0;
  double all_true = 1, saved = 0, most = 0;
  for (std::size_t n = 1; n <= limit; ++n) {
    const double extra = costs_.extra(n + 1);
    all_true *= chance;
    saved += all_true;
    if (extra <= credit_ && saved - extra > most) best = n, most = saved - extra;
  }
  return best;
}

std::span<const TokenId> Lookup::draft(std::size_t limit) {
  draft_.clear();
  credit_ = std::min(credit_ + kEarnedByStep, kMostCredit);
  limit = std::min({limit, max_draft_, kFewRows - 1});
  if (limit == 0 || text_.size() <= kKey) return draft_;
  const Match match = longest_match();
  if (match.next == 0) return draft_;
  luck_class_ = luck_class(match.length);
  std::size_t count = worthwhile(limit);
  if (count == 0 && ++passed_over_ >= kTryAgain && costs_.extra(2) <= credit_) count = 1;
  if (count > 0) passed_over_ = 0;
  for (std::size_t i = 0; i < count; ++i) {  // beyond the end of the text the draft goes on with itself
    const std::size_t from = match.next + i;
    draft_.push_back(from < text_.size() ? text_[from] : draft_[from - text_.size()]);
  }
  return draft_;
}

void Lookup::came_true(std::size_t count) {
  const std::size_t drafted = draft_.size();
  if (drafted == 0) return;
  credit_ = std::min(credit_ + static_cast<double>(count) - costs_.extra(drafted + 1), kMostCredit);
  Luck& luck = luck_[luck_class_];
  luck.tried += static_cast<double>(std::min(count + 1, drafted));
  luck.true_ += static_cast<double>(count);
  if (luck.tried > kForget) luck = {luck.tried / 2, luck.true_ / 2};
}

std::span<const float> LookAhead::feed(TokenId token, std::size_t more, const std::stop_token& stop) {
  if (drafter_ == nullptr) return session_.feed({&token, 1}, stop);
  drafter_->note(token);
  if (right_ < drafted_ && ids_[right_ + 1] == token) return session_.logits_after(++right_);
  settle();
  const auto draft = drafter_->draft(std::min({more, session_.room() - 1, session_.max_few() - 1}));
  const auto start = std::chrono::steady_clock::now();
  ids_[0] = token;
  std::ranges::copy(draft, ids_.begin() + 1);
  const auto ids = std::span(ids_).first(draft.size() + 1);
  if (!session_.feed_few(ids, stop)) return {};
  const auto logits = session_.logits_after(0);
  drafter_->took(ids.size(), std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  drafted_ = draft.size();
  return logits;
}

// Takes back what did not come true. The rings of the windowed layers hold a batch more than the window, which is more
// than was drafted.
void LookAhead::settle() {
  if (drafted_ == 0) return;
  const std::size_t position = session_.position() - (drafted_ - right_);
  [[maybe_unused]] const std::size_t reached = session_.rewind(position);
  assert(reached == position);
  drafter_->came_true(right_);
  drafted_ = right_ = 0;
}

}  // namespace carat
