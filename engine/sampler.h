// From logits to the next token.
#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "kernels/backend.h"

namespace carat {

// The chain: bias and penalties, then top-k, top-p, min-p, then temperature. A value that changes nothing is off.
struct SamplingOptions {
  float temperature = 0.8f;      // 0 = the most likely token, always
  std::size_t top_k = 40;        // keep the k most likely; 0 = all
  float top_p = 0.95f;           // keep the fewest that hold this much probability (Holtzman et al., 2019); 1 = all
  float min_p = 0.05f;           // keep those at least this likely, relative to the most likely one; 0 = all
  float repeat_penalty = 1;      // divides positive logits of recent tokens, multiplies negative ones (Keskar, 2019)
  float presence_penalty = 0;    // subtracted once from the logit of a recent token
  float frequency_penalty = 0;   // subtracted for each time it occurred
  std::size_t repeat_last = 64;  // how many tokens are recent
  std::vector<std::pair<TokenId, float>> logit_bias;  // added
  std::uint64_t seed = 0;
};

// Same options, same logits: same tokens, on every machine. Keeps the recent tokens and the state of its randomness.
class Sampler {
 public:
  Sampler(SamplingOptions options, std::size_t vocabulary);

  // Throws Error when no token has a chance: the model's weights are broken, or the biases exclude them all.
  TokenId pick(std::span<const float> logits);

  // A token that was read or written: what the penalties look back on.
  void note(TokenId token);
  // Forgets the noted tokens; the randomness goes on.
  void forget();

  const SamplingOptions& options() const { return options_; }

 private:
  struct Candidate {
    float logit;
    TokenId id;
  };

  void gather(std::span<const float> logits);
  void penalise();
  void keep_likeliest(std::size_t count);
  void keep_probable(float mass);
  void keep_near(float fraction);
  TokenId draw();

  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<TokenId> recent_;           // a ring of repeat_last
  std::size_t noted_ = 0;                 // tokens since the beginning
  std::vector<std::uint32_t> counts_;     // of each id, among the recent
  std::vector<std::uint64_t> penalised_;  // the pick that each id was last penalised at; empty: there are no penalties
  std::uint64_t picks_ = 0;
  std::vector<Candidate> candidates_;  // most likely first, once `sorted_` of them are
  std::size_t sorted_ = 0;
};

}  // namespace carat
