// How the next token is chosen: by flags, else by the model's file, else by its family.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/open_model.h"
#include "engine/sampler.h"

namespace CLI {
class App;
}

namespace carat {

struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p;
  std::optional<float> repeat_penalty, presence_penalty, frequency_penalty;
  std::optional<std::size_t> top_k;
  std::optional<std::int64_t> repeat_last;  // -1: the whole context
  std::vector<std::string> logit_bias;      // "ID+B" or "ID-B"
  std::string samplers;                     // those to use, in their order; empty: all
  std::int64_t seed = -1;                   // -1: a random one
  bool greedy = false, deterministic = false, ignore_eos = false;

  void add_to(CLI::App&);
};

// What a model is sampled with if no flag says otherwise: `general.sampling.*` of its file, else its family's
// (cli.md, section 8).
SamplingOptions default_sampling(const ModelFile& file, const ChatFrame::Choice& choice);

// The flags over these. `context` is what -1 tokens to look back come to. Throws BadUsage.
SamplingOptions sampling_options(const SamplingFlags& flags, const OpenModel& model, std::size_t context);

}  // namespace carat
