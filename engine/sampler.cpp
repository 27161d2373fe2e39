#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/error.h"

namespace carat {

namespace {

// Ties go to the lower id, so that the order of candidates never depends on how they were sorted.
constexpr auto likelier = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
};

// exp((logit - largest) / temperature), which is 1 also where both are infinite, as a bias may be.
double relative_weight(float logit, float largest, double temperature = 1) {
  return logit == largest ? 1 : std::exp(static_cast<double>(logit - largest) / temperature);
}

}  // namespace

Sampler::Sampler(SamplingOptions options, std::size_t vocabulary)
    : options_(std::move(options)), random_(options_.seed), recent_(options_.repeat_last), counts_(vocabulary) {
  candidates_.reserve(vocabulary);
  const bool no_penalty =
      options_.repeat_penalty == 1 && options_.presence_penalty == 0 && options_.frequency_penalty == 0;
  if (!no_penalty) penalised_.resize(vocabulary);
}

void Sampler::note(TokenId token) {
  if (recent_.empty()) return;
  TokenId& slot = recent_[noted_ % recent_.size()];
  if (noted_ >= recent_.size()) --counts_[static_cast<std::size_t>(slot)];
  slot = token;
  ++counts_[static_cast<std::size_t>(token)];
  ++noted_;
}

void Sampler::forget() {
  noted_ = 0;
  std::ranges::fill(counts_, 0);
}

TokenId Sampler::pick(std::span<const float> logits) {
  gather(logits);
  if (candidates_.empty()) {
    const bool some = std::ranges::any_of(logits, [](float logit) { return logit > -HUGE_VALF; });
    throw Error(some ? "no token is left: the biases exclude all that may follow"
                     : "the model's output is not a number: its weights are broken");
  }
  if (options_.temperature <= 0) return std::min_element(candidates_.begin(), candidates_.end(), likelier)->id;
  if (options_.top_k > 0) keep_likeliest(options_.top_k);
  if (options_.top_p < 1) keep_probable(options_.top_p);
  if (options_.min_p > 0) keep_near(options_.min_p);
  return draw();
}

// Every token that has a chance: no logit of NaN or minus infinity.
void Sampler::gather(std::span<const float> logits) {
  candidates_.clear();
  sorted_ = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) candidates_.push_back({logits[id], static_cast<TokenId>(id)});
  for (const auto& [id, bias] : options_.logit_bias) candidates_[static_cast<std::size_t>(id)].logit += bias;
  penalise();
  std::erase_if(candidates_, [](const Candidate& c) { return !(c.logit > -HUGE_VALF); });
}

// Looks at the recent tokens alone; a token that occurs twice among them is penalised at its first.
void Sampler::penalise() {
  if (penalised_.empty()) return;
  ++picks_;
  const std::size_t recent = std::min(noted_, recent_.size());
  for (std::size_t i = 0; i < recent; ++i) {
    const auto id = static_cast<std::size_t>(recent_[i]);
    if (std::exchange(penalised_[id], picks_) == picks_) continue;
    float& logit = candidates_[id].logit;
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    logit -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(counts_[id]);
  }
}

// Puts the `count` most likely first, in order.
void Sampler::keep_likeliest(std::size_t count) {
  count = std::min(count, candidates_.size());
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  if (count < candidates_.size()) std::nth_element(candidates_.begin(), end, candidates_.end(), likelier);
  std::sort(candidates_.begin(), end, likelier);
  candidates_.resize(count);
  sorted_ = count;
}

// Sorting a whole vocabulary costs more than a layer of the network: the front is sorted until it holds enough.
void Sampler::keep_probable(float mass) {
  const float largest = std::min_element(candidates_.begin(), candidates_.end(), likelier)->logit;
  double total = 0;
  for (const Candidate& c : candidates_) total += relative_weight(c.logit, largest);

  double so_far = 0;
  for (std::size_t kept = 0; kept < candidates_.size();) {
    if (kept == sorted_) {
      const std::size_t more = std::min(candidates_.size(), std::max<std::size_t>(256, 4 * sorted_));
      const auto from = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_);
      std::partial_sort(from, candidates_.begin() + static_cast<std::ptrdiff_t>(more), candidates_.end(), likelier);
      sorted_ = more;
    }
    so_far += relative_weight(candidates_[kept].logit, largest);
    ++kept;
    if (so_far >= static_cast<double>(mass) * total) return candidates_.resize(kept);
  }
}

void Sampler::keep_near(float fraction) {
  const float largest = std::min_element(candidates_.begin(), candidates_.end(), likelier)->logit;
  const float least = largest + std::log(fraction);
  std::erase_if(candidates_, [least](const Candidate& c) { return c.logit < least; });
}

TokenId Sampler::draw() {
  const float largest = std::min_element(candidates_.begin(), candidates_.end(), likelier)->logit;
  const auto weight = [&](const Candidate& c) {
    return relative_weight(c.logit, largest, static_cast<double>(options_.temperature));
  };
  double total = 0;
  for (const Candidate& c : candidates_) total += weight(c);
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * total;  // 53 bits: uniform in [0, total)
  for (const Candidate& c : candidates_) {
    left -= weight(c);
    if (left < 0) return c.id;
  }
  return candidates_.back().id;  // rounding ate the last sliver
}

}  // namespace carat
