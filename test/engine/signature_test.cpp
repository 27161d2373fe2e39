#include "engine/signature.h"

#include <cmath>

#include "test/support/catch.h"

using namespace carat;

namespace {

// How far a logit is from where it would be rounded the other way.
float distance_to_boundary(float logit) {
  const float halves = logit / kSignatureRounding;
  return kSignatureRounding * (0.5f - std::abs(halves - std::round(halves)));
}

}  // namespace

TEST_CASE("the signature is the same on every instruction set, and by a margin", "[signature]") {
  const auto exact = signature_steps({2, "reference"});
  for (const SignatureStep& step : exact) {
    INFO("token " << step.best << ", logit " << step.logit);
    CHECK(step.lead > 0.04f);
    CHECK(distance_to_boundary(step.logit) > 0.04f);
  }
  for (const std::string_view isa : usable_isas()) {
    if (isa == "reference") continue;
    const auto found = signature_steps({2, std::string(isa)});
    CHECK(signature(found) == signature(exact));
    for (std::size_t i = 0; i < exact.size(); ++i) {
      INFO(isa << ", step " << i);
      CHECK(std::abs(found[i].logit - exact[i].logit) < 0.02f);
    }
  }
}

TEST_CASE("the signature is the same for any number of threads", "[signature]") {
  const std::uint32_t expected = signature(signature_steps({1, ""}));
  for (const std::size_t threads : {2, 5}) CHECK(signature(signature_steps({threads, ""})) == expected);
}

TEST_CASE("the signature depends on tokens and on logits", "[signature]") {
  const std::vector<SignatureStep> steps = {{3, 1.2f, 1}, {7, 2.1f, 1}};
  auto other = steps;
  other[1].logit += 0.1f;
  CHECK(signature(other) == signature(steps));
  other[1].logit += 1;
  CHECK(signature(other) != signature(steps));
  other = steps;
  other[0].best = 4;
  CHECK(signature(other) != signature(steps));
}
