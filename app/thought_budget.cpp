#include "app/thought_budget.h"

#include <cmath>

namespace carat {

ThoughtBudget::ThoughtBudget(const Tokenizer& tokenizer, Thoughts thoughts, bool begins_text, std::size_t tokens)
    : decoder_(tokenizer, begins_text),
      splitter_(thoughts),
      left_(tokens),
      close_(tokenizer.encode_special(kThoughtsEnd, false)) {}

bool ThoughtBudget::is_closing() const {
  const bool has_begun = closed_ > 0 && closed_ < close_.size();
  return has_begun || (closed_ == 0 && left_ == 0 && splitter_.thinking());
}

TokenFilter::Next ThoughtBudget::mask(std::span<float> logits) {
  if (!is_closing()) return Next::tokens;
  const auto next = static_cast<std::size_t>(close_[closed_]);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (i != next) logits[i] = -HUGE_VALF;
  }
  return Next::tokens;
}

void ThoughtBudget::accept(TokenId token) {
  if (is_closing()) {
    ++closed_;
  } else if (left_ > 0 && splitter_.thinking()) {
    --left_;
  }
  (void)splitter_.push(decoder_.push(token));
}

}  // namespace carat
