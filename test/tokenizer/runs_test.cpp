#include "tokenizer/constraint/runs.h"

#include "test/support/catch.h"
#include "tokenizer/constraint/constraint.h"

namespace carat {
namespace {

TEST_CASE("a set of runs that is one too many is refused each time, not known from then on", "[constraint]") {
  const Automaton automaton = regex_constraint("a");
  Runs runs(automaton);
  const auto make = [&](std::uint32_t stack) {
    return runs.set_of({{automaton.start(), runs.push({Runs::kBottom, stack, 0, 0, 0})}});
  };
  std::uint32_t stack = 0;
  const auto fill = [&] {
    for (; stack < 1'000'000; ++stack) make(stack);
  };
  REQUIRE_THROWS_AS(fill(), BadConstraint);
  CHECK(stack > 100'000);
  CHECK_THROWS_AS(make(stack), BadConstraint);
  CHECK(runs.next(make(1), 'b') == Runs::kNone);
}

}  // namespace
}  // namespace carat
