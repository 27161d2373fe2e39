#include "engine/draft_model.h"

#include <algorithm>
#include <chrono>

namespace carat {

namespace {

constexpr double kForget = 64;         // tokens of drafts after which older ones count half
constexpr std::size_t kTryAgain = 32;  // steps without a draft, after which one finds out whether that is still right
constexpr double kGuess = 0.2;         // of a step of the model that checks, before anything is measured

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A step is delayed by others, never hastened.
void adjust(double& expected, double seconds) {
  expected = expected == 0 ? seconds : expected + (seconds - expected) / (seconds < expected ? 2 : 8);
}

TokenId likeliest(std::span<const float> logits) {
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

}  // namespace

DraftModel::DraftModel(const Model& model, const SessionOptions& options, std::size_t max_draft)
    : session_(model, options), max_draft_(std::min(max_draft, kFewRows - 1)) {
  text_.reserve(options.context);
  read_.reserve(options.context);
  draft_.reserve(max_draft_);
}

bool DraftModel::begin(std::span<const TokenId> text, const std::stop_token& stop) {
  text_.assign(text.begin(), text.end());
  return text_.empty() || !read_text(stop).empty();
}

// Brings the session to the end of the text; the logits after it.
std::span<const float> DraftModel::read_text(const std::stop_token& stop) {
  const auto known = static_cast<std::size_t>(std::ranges::mismatch(read_, text_).in2 - text_.begin());
  const std::size_t position = session_.rewind(std::min(known, text_.size() - 1));
  const auto logits = session_.feed(std::span(text_).subspan(position), stop);
  read_.assign(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(session_.position()));
  return logits;
}

// The length of draft that saves the most: each token that comes true saves a step, each costs one of this model's, and
// all of them lengthen the step that checks.
std::size_t DraftModel::worthwhile(std::size_t limit) {
  const double chance = true_ / tried_;
  const double each = own_step_ > 0 && checked_step_ > 0 ? own_step_ / checked_step_ : kGuess;
  std::size_t best = 0;
  double all_true = 1, saved = 0, most = 0;
  for (std::size_t n = 1; n <= limit; ++n) {
    all_true *= chance;
    saved += all_true;
    const double gain = saved - costs_.extra(n + 1) - each * static_cast<double>(n);
    if (gain > most) best = n, most = gain;
  }
  if (best == 0 && limit > 0 && ++passed_over_ >= kTryAgain) best = 1;
  if (best > 0) passed_over_ = 0;
  return best;
}

std::span<const TokenId> DraftModel::draft(std::size_t limit) {
  draft_.clear();
  const std::size_t room = session_.context() - std::min(session_.context(), text_.size());
  const std::size_t count = text_.empty() ? 0 : worthwhile(std::min({limit, max_draft_, room}));
  if (count == 0) return draft_;
  for (std::span<const float> logits = read_text(); !logits.empty();) {
    draft_.push_back(likeliest(logits));
    if (draft_.size() == count) break;
    const auto start = std::chrono::steady_clock::now();
    logits = session_.feed(std::span(draft_).last(1));
    adjust(own_step_, since(start));
    read_.push_back(draft_.back());
  }
  return draft_;
}

void DraftModel::came_true(std::size_t count) {
  tried_ += static_cast<double>(std::min(count + 1, draft_.size()));
  true_ += static_cast<double>(count);
  if (tried_ > kForget) tried_ /= 2, true_ /= 2;
}

void DraftModel::took(std::size_t tokens, double seconds) {
  costs_.took(tokens, seconds);
  adjust(checked_step_, tokens == 1 ? seconds : seconds / (1 + costs_.extra(tokens)));
}

}  // namespace carat
