#include "app/sampling_flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <sstream>
#include <string_view>

#include "app/failure.h"
#include "app/flags.h"

namespace carat {
namespace {

constexpr double kMaxTemperature = 100;
constexpr double kLeastPenalty = 0.01, kMaxPenalty = 100;  // the first divides
constexpr std::int64_t kMaxLookBack = std::int64_t{1} << 20;

// Of a family: the frame and the architecture by which it is known, and what its makers recommend.
struct FamilyRow {
  std::string_view frame, architecture;  // no architecture: any
  bool thinks;
  float temperature;
  std::size_t top_k;
  float top_p, repeat_penalty;
};

constexpr std::array kFamilies = {
    FamilyRow{"gemma", "", false, 1.0f, 64, 0.95f, 1.0f},        //
    FamilyRow{"llama2", "", false, 0.6f, 0, 0.9f, 1.0f},         //
    FamilyRow{"llama3", "", false, 0.6f, 0, 0.9f, 1.0f},         //
    FamilyRow{"chatml", "qwen2", false, 0.7f, 20, 0.8f, 1.05f},  //
    FamilyRow{"chatml", "qwen3", true, 0.6f, 20, 0.95f, 1.0f},   //
    FamilyRow{"chatml", "qwen3", false, 0.7f, 20, 0.8f, 1.0f},   //
};

// The two smallest models of Qwen 2.5 are recommended a stronger penalty than the others.
constexpr std::size_t kSmallQwenWidth = 1536;
constexpr float kSmallQwenPenalty = 1.1f;

SamplingOptions family_sampling(const ModelFile& file, const ChatFrame::Choice& choice) {
  SamplingOptions options;  // as they stand: for models without a frame, which complete texts
  if (choice.basis == ChatFrame::Choice::Basis::none) return options;
  const std::string_view architecture = file.metadata().text_or("general.architecture", "");
  for (const FamilyRow& row : kFamilies) {
    if (row.frame != choice.frame.name() || row.thinks != choice.frame.has_think_switch()) continue;
    if (!row.architecture.empty() && row.architecture != architecture) continue;
    options.temperature = row.temperature;
    options.top_k = row.top_k;
    options.top_p = row.top_p;
    options.min_p = 0;
    options.repeat_penalty = row.repeat_penalty;
    if (architecture == "qwen2" &&
        file.metadata().count_or("qwen2.embedding_length", 0, 0, std::size_t{1} << 20) <= kSmallQwenWidth) {
      options.repeat_penalty = kSmallQwenPenalty;
    }
    break;
  }
  return options;
}

// "ID+B" or "ID-B"; B may be "inf".
std::pair<TokenId, float> parse_bias(const std::string& text, std::size_t vocabulary) {
  const char* const end = text.data() + text.size();
  std::size_t id = 0;
  double bias = 0;
  const auto [after_id, id_error] = std::from_chars(text.data(), end, id);
  const bool has_sign = after_id != end && (*after_id == '+' || *after_id == '-');
  const char* const number = has_sign && *after_id == '+' ? after_id + 1 : after_id;
  const auto [after_bias, bias_error] = std::from_chars(number, end, bias);
  if (id_error != std::errc() || !has_sign || bias_error != std::errc() || after_bias != end || std::isnan(bias)) {
    throw BadUsage("--logit-bias: '" + text + "' is not of the form ID+X or ID-X");
  }
  if (id >= vocabulary) {
    throw BadUsage("--logit-bias: " + text + ": the model's ids end at " + std::to_string(vocabulary - 1));
  }
  return {static_cast<TokenId>(id), static_cast<float>(bias)};
}

// Turns off the samplers that are not in the list.
void keep_samplers(SamplingOptions& options, std::string list) {
  constexpr auto kChain = std::to_array<std::string_view>({"penalties", "top_k", "top_p", "min_p", "temperature"});
  std::array<bool, kChain.size()> kept{};
  std::ranges::replace(list, ',', ';');
  std::ranges::replace(list, '-', '_');
  std::size_t next = 0;
  if (list.empty()) throw BadUsage("--samplers: '' is not known");
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ';');) {
    if (name == "temp") name = "temperature";
    const auto place = static_cast<std::size_t>(std::ranges::find(kChain, name) - kChain.begin());
    if (place == kChain.size()) throw BadUsage("--samplers: '" + name + "' is not known");
    if (place < next) throw BadUsage("--samplers: '" + name + "' comes too late", "the order is fixed; see --help-all");
    kept[place] = true;
    next = place + 1;
  }
  if (!kept[0]) {
    options.repeat_penalty = 1;
    options.presence_penalty = options.frequency_penalty = 0;
  }
  if (!kept[1]) options.top_k = 0;
  if (!kept[2]) options.top_p = 1;
  if (!kept[3]) options.min_p = 0;
  if (!kept[4]) options.temperature = 1;
}

}  // namespace

void SamplingFlags::add_to(CLI::App& app) {
  add_real(app, "--temp,--temperature", temperature, 0, kMaxTemperature,
           "temperature; 0: always the most likely token");
  add_integer(app, "--top-k", top_k, 0, std::numeric_limits<std::int32_t>::max(), "keep the N most likely; 0: all")
      ->group(kMore);
  add_real(app, "--top-p", top_p, 0, 1, "keep the fewest that hold probability X; 1: all")->group(kMore);
  add_real(app, "--min-p", min_p, 0, 1, "keep those X times as likely as the most likely; 0: all")->group(kMore);
  add_real(app, "--repeat-penalty", repeat_penalty, kLeastPenalty, kMaxPenalty,
           "penalty for tokens seen before; 1: none")
      ->group(kMore);
  add_integer(app, "--repeat-last-n", repeat_last, -1, kMaxLookBack, "tokens that penalties look back on; -1: all")
      ->group(kMore);
  add_real(app, "--presence-penalty", presence_penalty, -kMaxPenalty, kMaxPenalty, "taken once from tokens seen before")
      ->group(kMore);
  add_real(app, "--frequency-penalty", frequency_penalty, -kMaxPenalty, kMaxPenalty,
           "taken each time that a token was seen")
      ->group(kMore);
  add_texts(app, "-l,--logit-bias", logit_bias, "ID+X", "add X to the logit of a token (or ID-X); repeatable")
      ->group(kMore);
  add_text(app, "--samplers", samplers, "LIST",
           "use these alone, in this order: penalties;top_k;top_p;min_p;temperature")
      ->group(kMore);
  add_switch(app, "--greedy", greedy, "the same as --temp 0")->group(kMore);
  add_integer(app, "-s,--seed", seed, -1, std::numeric_limits<std::int64_t>::max(), "seed; -1: random (default)");
  add_switch(app, "--deterministic", deterministic, "the same as --seed 0")->group(kMore);
  add_switch(app, "--ignore-eos", ignore_eos, "go on where the model would end")->group(kMore);
}

SamplingOptions default_sampling(const ModelFile& file, const ChatFrame::Choice& choice) {
  const Metadata& metadata = file.metadata();
  const auto real = [&metadata](const char* name, float fallback, double min, double max) {
    return static_cast<float>(metadata.real_or(std::string("general.sampling.") + name, fallback, min, max));
  };
  SamplingOptions options = family_sampling(file, choice);
  options.temperature = real("temp", options.temperature, 0, kMaxTemperature);
  options.top_p = real("top_p", options.top_p, 0, 1);
  options.min_p = real("min_p", options.min_p, 0, 1);
  options.repeat_penalty = real("penalty_repeat", options.repeat_penalty, kLeastPenalty, kMaxPenalty);
  options.top_k = metadata.count_or("general.sampling.top_k", options.top_k, 0, std::size_t{1} << 31);
  options.repeat_last = metadata.count_or("general.sampling.penalty_last_n", options.repeat_last, 0, kMaxLookBack);
  return options;
}

SamplingOptions sampling_options(const SamplingFlags& flags, const OpenModel& model, std::size_t context) {
  SamplingOptions options = default_sampling(model.files.file, model.frame);
  options.temperature = flags.greedy ? 0 : flags.temperature.value_or(options.temperature);
  options.top_k = flags.top_k.value_or(options.top_k);
  options.top_p = flags.top_p.value_or(options.top_p);
  options.min_p = flags.min_p.value_or(options.min_p);
  options.repeat_penalty = flags.repeat_penalty.value_or(options.repeat_penalty);
  options.presence_penalty = flags.presence_penalty.value_or(options.presence_penalty);
  options.frequency_penalty = flags.frequency_penalty.value_or(options.frequency_penalty);
  if (!flags.samplers.empty()) keep_samplers(options, flags.samplers);
  const std::int64_t look_back = flags.repeat_last.value_or(static_cast<std::int64_t>(options.repeat_last));
  options.repeat_last = look_back < 0 ? context : static_cast<std::size_t>(look_back);
  const std::int64_t seed = flags.deterministic ? 0 : flags.seed;
  options.seed = seed < 0 ? std::random_device()() : static_cast<std::uint64_t>(seed);

  const std::size_t vocabulary = model.model.config.vocabulary;
  for (const std::string& text : flags.logit_bias) options.logit_bias.push_back(parse_bias(text, vocabulary));
  if (flags.ignore_eos) {
    for (const TokenId id : model.frame.frame.stops(*model.tokenizer)) options.logit_bias.emplace_back(id, -HUGE_VALF);
  }
  return options;
}

}  // namespace carat
