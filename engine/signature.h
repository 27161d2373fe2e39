// A short number that stays the same as long as the engine computes the same.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"

namespace carat {

// The most likely token after some others, its logit, and by how much it leads the second.
struct SignatureStep {
  TokenId best = 0;
  float logit = 0, lead = 0;
};

// Tiny models made here, by integer arithmetic, with weights of every type: each reads a prompt in one batch, and then
// tokens one by one that follow from those it found most likely. Throws as make_cpu_backend does.
std::vector<SignatureStep> signature_steps(const BackendOptions& options);

// What the steps come to, with logits rounded to halves. The models are such that no instruction set and no number of
// threads changes it: see the test.
inline constexpr float kSignatureRounding = 0.5f;
std::uint32_t signature(std::span<const SignatureStep> steps);

}  // namespace carat
