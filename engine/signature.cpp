#include "engine/signature.h"

#include <algorithm>
#include <cmath>

#include "engine/session.h"
#include "engine/synthetic.h"

namespace carat {

namespace {

// All kinds of layers: windows, both rotations and styles, caps, biases, norms of heads and of branches, tied or not.
struct Subject {
  Preset preset;
  std::uint64_t seed;  // one whose logits keep away from halves, and whose best tokens lead
};
constexpr Subject kSubjects[] = {
    {{"gemma2", "gemma2", 2, 256, 256, 4, 2, 64, 256, 512, 8}, 2},
    {{"gemma3", "gemma3", 6, 256, 256, 4, 1, 64, 256, 512, 8, 1e6f}, 4},
    {{"llama", "llama", 2, 256, 256, 4, 2, 64, 256, 512, 0, 1e4f, false}, 19},
    {{"qwen2", "qwen2", 2, 256, 256, 4, 2, 64, 256, 512, 0, 1e6f}, 5},
    {{"qwen3", "qwen3", 2, 256, 256, 4, 2, 64, 256, 512, 0, 1e6f}, 5},
};

constexpr std::size_t kPrompt = 20;  // a batch, further than the windows reach
constexpr std::size_t kReply = 8;

// Matrices of every type there is, one after the other.
std::vector<FileTensor> tensors_of_all_types(const Preset& preset) {
  std::vector<FileTensor> tensors = preset_tensors(preset);
  std::size_t next = 0;
  for (FileTensor& tensor : tensors)
    if (tensor.n_dims == 2) tensor.dtype = kDTypes[next++ % kDTypeCount].id;
  return tensors;
}

SignatureStep step_of(std::span<const float> logits) {
  std::size_t best = 0, second = 1;
  for (std::size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best]) {
      second = best;
      best = i;
    } else if (i == 1 || logits[i] > logits[second]) {
      second = i;
    }
  }
  return {static_cast<TokenId>(best), logits[best], logits[best] - logits[second]};
}

void add_steps(const Subject& subject, const BackendOptions& options, std::vector<SignatureStep>& steps) {
  const SyntheticModel made = make_synthetic(subject.preset, tensors_of_all_types(subject.preset), subject.seed);
  const Model model = load_model(made.file, make_cpu_backend(options));
  Session session(model, {kPrompt + kReply, kPrompt});
  std::vector<TokenId> ids(kPrompt);
  for (std::size_t i = 0; i < kPrompt; ++i) ids[i] = static_cast<TokenId>((i * 37 + 11) % subject.preset.vocabulary);
  for (std::size_t i = 0; i <= kReply; ++i) {
    steps.push_back(step_of(session.feed(ids)));
    // Not the best itself: where the embedding is the output, a model of noise says the same again and again.
    const std::size_t next = static_cast<std::size_t>(steps.back().best) + 37 * (i + 1);
    ids.assign(1, static_cast<TokenId>(next % subject.preset.vocabulary));
  }
}

}  // namespace

std::vector<SignatureStep> signature_steps(const BackendOptions& options) {
  std::vector<SignatureStep> steps;
  for (const Subject& subject : kSubjects) add_steps(subject, options, steps);
  return steps;
}

std::uint32_t signature(std::span<const SignatureStep> steps) {
  std::uint32_t hash = 2166136261u;  // FNV-1a
  const auto add = [&hash](std::int32_t value) {
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ (static_cast<std::uint32_t>(value) >> shift & 255u)) * 16777619u;
  };
  for (const SignatureStep& step : steps) {
    add(step.best);
    add(static_cast<std::int32_t>(std::lround(step.logit / kSignatureRounding)));
  }
  return hash;
}

}  // namespace carat
