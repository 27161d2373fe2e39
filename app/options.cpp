#include "app/options.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "app/demo.h"
#include "app/duration.h"
#include "app/environment.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/log.h"
#include "app/model_names.h"
#include "app/nearest.h"
#include "app/threads.h"
#include "app/user_path.h"

namespace carat {
namespace {

constexpr std::size_t kMaxThreads = 1024;
constexpr std::size_t kDefaultContext = 32768;  // at most, unless more is asked for: a cache is memory
constexpr std::int64_t kMaxContext = std::int64_t{1} << 30;
constexpr std::int64_t kMaxBatch = std::int64_t{1} << 16;

struct OverflowName {
  std::string_view name;
  Overflow policy;
};
constexpr auto kOverflowNames = std::to_array<OverflowName>({{"stop", Overflow::stop},
                                                             {"shift", Overflow::shift},
                                                             {"error", Overflow::error},
                                                             {"drop-turns", Overflow::drop_turns}});

void add_cache_type(CLI::App& app, const std::string& name, DType& type, const std::string& what) {
  const auto take = [&type](const std::string& given) { type = *find_cache_type(given); };
  const auto check = [](std::string& given) {
    return find_cache_type(given) ? std::string()
                                  : "'" + given + "' is no type of a cache; f16, bf16, q8_0 and f32 are";
  };
  add_value(app, name, take, "TYPE", what)->group(kMore)->check({check});
}

[[noreturn]] void throw_no_model(const std::string& word, int exit_code, const std::string& hint) {
  std::vector<std::string> names;
  for (const NamedModel& model : list_models()) names.push_back(model.name);
  const std::string near = suggestion(word, names);
  throw Failure(exit_code, "'" + word + "' is not a file" + (names.empty() ? "" : ", and no model is called that"),
                near.empty() ? hint : near);
}

void note_demo() {
  char text[160];
  std::snprintf(
      text, sizeof text,
      "no model is named: the built-in %s of %.1f MiB, which knows little but carat; -m FILE names a real one",
      std::string(kDemoName).c_str(), static_cast<double>(demo_bytes().size()) / (1 << 20));
  log_note(text);
}

// Attention is of one kind, and other programs' names for it are understood.
void check_flash_attention(const std::string& given) {
  constexpr auto kAlways = std::to_array<std::string_view>({"", "on", "auto", "1", "true"});
  if (std::ranges::find(kAlways, given) != kAlways.end()) return;
  throw BadUsage("-fa " + given + ": attention is always of the flash kind here", "-fa on, or nothing");
}

bool names_model(const std::string& word) {
  // A missing model is for the loader to report.
  return word == kDemoName || is_there(word) || word.ends_with(".gguf") || word.ends_with(".sbs");
}

}  // namespace

void ModelFlags::add_to(CLI::App& app) {
  add_text(app, "-m,--model,--weights", path, "MODEL",
           "a GGUF or .sbs file, or its name (default: demo) [CARAT_MODEL]");
  add_text(app, "--default-model", fallback, "FILE", "what 'model' in the settings comes to")->group(kHidden);
  add_text(app, "--tokenizer", tokenizer, "FILE", "the SentencePiece model of an .sbs file that has none inside")
      ->group(kMore);
}

std::string ModelFlags::take_path(std::vector<std::string>& words) const {
  if (!path.empty()) {
    const std::string found = model_path(path);
    if (!names_model(found) && found.find('/') == std::string::npos) {
      throw_no_model(path, kExitModel, "'carat list' shows the models that have a name");
    }
    return found;
  }
  const std::string_view set = environment("CARAT_MODEL");
  const std::string standing = set.empty() ? fallback : std::string(set);
  const bool is_stdin = !words.empty() && words.front() == "-";
  if (!words.empty() && !is_stdin) {
    const std::string word = words.front();
    const std::string found = model_path(word);
    if (!names_model(found)) {
      throw_no_model(word, kExitUsage, "the first argument is the model; a prompt goes behind -p");
    }
    words.erase(words.begin());
    return found;
  }
  if (!standing.empty()) return model_path(standing);
  note_demo();
  return std::string(kDemoName);
}

void BackendFlags::add_to(CLI::App& app) {
  add_integer(app, "-t,--threads,--num-threads", threads, 1, kMaxThreads,
              "threads (default: as many as CPUs) [CARAT_THREADS]")
      ->envname("CARAT_THREADS");
  add_integer(app, "--threads-batch", batch_threads, 1, kMaxThreads,
              "threads that read a prompt, as many tokens at once (default: those of -t)")
      ->group(kMore);
  placement.add_to(app);
  add_text(app, "--isa", isa, "NAME", "instruction set to use; 'list' shows what this machine has")->group(kMore);
  add_text(app, "--flash-attn", flash_attention, "on", "attention in blocks; it always is")->group(kMore);
  add_text(app, "--device", device, "NAME", "what to run on: cpu, auto, or a GPU that 'carat devices' shows")
      ->group(kMore);
  add_text(app, "--gpu-layers", gpu_layers, "N", "layers on a GPU (-ngl): N, auto (what fits) or all [CARAT_NGL]")
      ->envname("CARAT_NGL")
      ->group(kMore);
}

BackendOptions BackendFlags::options() const {
  const auto usable = usable_isas();
  if (!isa.empty() && std::ranges::find(usable, isa) == usable.end()) {
    std::string names;
    for (const std::string_view name : usable) names += (names.empty() ? "" : ", ") + std::string(name);
    throw BadUsage("--isa: this machine cannot use '" + isa + "'", "it can use " + names);
  }
  check_flash_attention(flash_attention);
  const std::vector<int> cpus = placement.take_cpus();
  BackendOptions options{threads ? *threads : std::min(usable_cpus(), kMaxThreads), isa};
  options.batch_threads = batch_threads.value_or(options.threads);
  if (placement.is_pinned()) options.cpus = placement.pinned(cpus, std::max(options.threads, options.batch_threads));
  return options;
}

void LoadFlags::add_to(CLI::App& app) {
  const ValueCheck modes = one_of({"auto", "mmap", "none", "mlock", "mmap+mlock"});
  const auto check = [modes](std::string& given) {  // other programs know one more
    return given == "dio" ? "direct I/O is not built in; 'none' reads at once, too" : modes.refusal(given);
  };
  add_text(app, "--load-mode", mode, "MODE",
           "how the file is loaded: mmap (the default: read as it is needed), none (read at once), mlock (the same, "
           "and never swapped out), mmap+mlock, auto")
      ->check({check, modes.choices})
      ->group(kMore);
  add_switch(app, "--map,--mmap", maps, "the same as --load-mode mmap; --no-mmap: as none")->group(kMore);
  add_switch(app, "--mlock", locks, "keep the model in memory, whatever else wants it")->group(kMore);
}

Loading LoadFlags::loading() const {
  if (mode != "auto" && (maps || locks))
    throw BadUsage("--load-mode and " + std::string(maps ? "--mmap" : "--mlock") + ": one of them");
  const bool copies = mode == "none" || mode == "mlock" || !maps.value_or(true);
  return {copies, locks || mode == "mlock" || mode == "mmap+mlock"};
}

void BackendFlags::refuse_gpu() const {
  if ((device == "auto" || device == "cpu") && (gpu_layers == "auto" || gpu_layers == "0")) return;
  throw Failure(kExitResource, "this is done on the CPU: no GPU takes part in it", "--device cpu");
}

void ContextFlags::add_to(CLI::App& app) {
  const auto automatic = [](std::string& input) {
    if (input == "auto") input = "0";
    return std::string();
  };
  add_integer(app, "-c,--ctx-size,--seq-len", context, 0, kMaxContext,
              "context, tokens (default: the model's, to 32768) [CARAT_CTX]")
      ->envname("CARAT_CTX")
      ->check_first({automatic});
  add_integer(app, "-b,--batch-size", batch, 1, kMaxBatch, "tokens of a batch of the prompt (default: 2048)")
      ->group(kMore);
  add_integer(app, "--ubatch-size,--ubatch,--prefill-tbatch", microbatch, 1, kMaxBatch,
              "tokens of a batch that are read at once (default: 512)")
      ->group(kMore);
  add_cache_type(app, "--cache-type-k", cache.k, "keep keys in f16, bf16, q8_0 or f32 (default: f16) [-ctk]");
  add_cache_type(app, "--cache-type-v", cache.v, "keep values in f16, bf16, q8_0 or f32 (default: f16) [-ctv]");
}

std::size_t ContextFlags::positions(const ModelConfig& config) const {
  std::vector<Warning> warnings;
  const std::size_t count = positions(config, warnings);
  for (const Warning& warning : warnings) log_note(warning.message);
  return count;
}

std::size_t ContextFlags::positions(const ModelConfig& config, std::vector<Warning>& warnings) const {
  if (context > config.context) {
    warnings.push_back({"long_context", "the model was trained for " + std::to_string(config.context) +
                                            " tokens of context, not " + std::to_string(context)});
  }
  return context > 0 ? context : std::min(config.context, kDefaultContext);
}

void LookupFlags::add_to(CLI::App& app) {
  add_switch(app, "--lookup", lookup, "look up in the text how it goes on: faster where it repeats (default: on)")
      ->group(kMore);
  add_integer(app, "--draft-max", max_draft, 1, static_cast<std::int64_t>(kFewRows - 1),
              "tokens that a draft may run ahead (default: 15)")
      ->group(kMore);
  add_text(app, "--draft-model,--model-draft", draft_model, "FILE",
           "a smaller model with the same vocabulary, which runs ahead instead: faster where it guesses right")
      ->group(kMore);
}

std::optional<Lookup> LookupFlags::make(std::size_t context, bool shifts) const {
  if (shifts || !lookup.value_or(true)) return std::nullopt;
  return Lookup(context, max_draft);
}

Warning forgotten_turns(std::size_t turns) {
  const std::string what = turns == 1 ? "turn is" : std::to_string(turns) + " turns are";
  return {"context", "the context is full: the oldest " + what + " forgotten"};
}

void OverflowFlags::add_to(CLI::App& app, const std::string& what) {
  const auto take = [this](const std::string& name) {
    policy = std::ranges::find(kOverflowNames, name, &OverflowName::name)->policy;
  };
  std::vector<std::string> names;
  for (const OverflowName& row : kOverflowNames) names.emplace_back(row.name);
  add_value(app, "--overflow", take, "WHAT", what)->check(one_of(std::move(names)))->group(kMore);
  add_integer(app, "--keep", keep, 0, std::numeric_limits<std::int32_t>::max(),
              "tokens at the beginning that --overflow shift keeps")
      ->group(kMore);
}

void OverflowFlags::check(const LookupFlags& lookup) const {
  if (keep > 0 && policy != Overflow::shift) throw BadUsage("--keep goes with --overflow shift");
  if (lookup.lookup.value_or(false) && !lookup.draft_model.empty())
    throw BadUsage("--lookup and --draft-model: one of them");
  if (lookup.is_asked_for() && policy == Overflow::shift) throw BadUsage(lookup.name() + ": not with --overflow shift");
}

void SessionFlags::check() const {
  if (read_only && file.empty()) throw BadUsage("--session-ro goes with --session FILE");
}

void SessionFlags::add_to(CLI::App& app) {
  const auto check = [](std::string& given) {
    return given.empty() ? std::string("no file is called ''")
                         : std::string();  // of a shell's variable that is not set
  };
  add_text(app, "--session,--prompt-cache", file, "FILE", "go on with the conversation in a file, and keep it there")
      ->group(kMore)
      ->check({check});
  add_switch(app, "--session-ro,--prompt-cache-ro", read_only, "leave the file of --session as it is")->group(kMore);
}

Flag TimeoutFlag::add_to(CLI::App& app, const std::string& what) {
  const auto take = [this](const std::string& text) { timeout = *parse_duration(text); };
  const auto check = [](std::string& text) {
    return parse_duration(text) ? std::string() : "'" + text + "' is no length of time like 30, 500ms, 2m or 1h";
  };
  Flag flag = add_value(app, "--timeout", take, "TIME", what);
  flag->check({check});
  return flag;
}

void add_stop_texts(CLI::App& app, std::vector<std::string>& texts) {
  const auto refuse_empty = [](std::string& text) { return std::string(text.empty() ? "a stop text is empty" : ""); };
  add_texts(app, "-r,--stop,--reverse-prompt", texts, "TEXT", "end the answer before this text; repeatable")
      ->check({refuse_empty});
}

void LogFlags::add_to(CLI::App& app) {
  add_switch(app, "-q,--quiet", quiet, "say nothing but errors on standard error")->group(kMore);
  add_counter(app, "-v,--verbose", verbose, "say more on standard error")->group(kMore);
  add_text(app, "--log-file", file, "FILE", "write what is said, and details, to the end of a file [CARAT_LOG]")
      ->envname("CARAT_LOG")
      ->group(kMore);
}

void LogFlags::apply() const {
  set_log_verbosity(quiet ? -1 : verbose);
  if (!file.empty() && !log_to_file(file)) throw BadUsage("--log-file: '" + file + "' cannot be written");
}

}  // namespace carat
