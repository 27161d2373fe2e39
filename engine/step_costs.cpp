#include "engine/step_costs.h"

#include <algorithm>
#include <cassert>

namespace carat {

namespace {

constexpr double kGuess = 0.25;  // of a step, for each further token, before anything is measured

}  // namespace

// Steps are delayed by others, never hastened: what is shorter than expected tells more than what is longer.
void StepCosts::took(std::size_t tokens, double seconds) {
  assert(tokens >= 1 && tokens <= kFewRows);
  double& expected = seconds_[tokens];
  expected = expected == 0 ? seconds : expected + (seconds - expected) / (seconds < expected ? 2 : 8);
}

double StepCosts::extra(std::size_t tokens) const {
  assert(tokens >= 2 && tokens <= kFewRows);
  std::size_t nearest = 0, distance = kFewRows;
  for (std::size_t n = 2; n <= kFewRows && seconds_[1] > 0; ++n) {
    const std::size_t away = n > tokens ? n - tokens : tokens - n;
    if (seconds_[n] > 0 && away < distance) nearest = n, distance = away;
  }
  const double each =
      nearest == 0 ? kGuess : std::max(seconds_[nearest] / seconds_[1] - 1, 0.0) / static_cast<double>(nearest - 1);
  return each * static_cast<double>(tokens - 1);
}

}  // namespace carat
