// What a step of several tokens costs on this machine, for this model, at this depth: measured as steps are taken.
#pragma once
#include <array>
#include <cstddef>

#include "engine/session.h"

namespace carat {

class StepCosts {
 public:
  // A step of so many tokens, at most kFewRows, took so long.
  void took(std::size_t tokens, double seconds);

  // By how much a step of so many tokens is longer than one of one token, in steps of one. Guessed from the nearest
  // that was measured.
  double extra(std::size_t tokens) const;

 private:
  std::array<double, kFewRows + 1> seconds_{};  // by tokens; 0 = not measured
};

}  // namespace carat
