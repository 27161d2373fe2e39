#include "app/options.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "app/failure.h"
#include "app/flags.h"
#include "app/log.h"
#include "app/threads.h"

namespace carat {
namespace {

constexpr std::size_t kMaxThreads = 1024;
constexpr std::size_t kDefaultContext = 32768;  // at most, unless more is asked for: a cache is memory
constexpr std::int64_t kMaxContext = std::int64_t{1} << 30;
constexpr std::int64_t kMaxBatch = std::int64_t{1} << 16;

void add_cache_type(CLI::App& app, const std::string& name, DType& type, const std::string& what) {
  const auto find = [](const std::string& given) {
    return std::ranges::find(kCacheTypes, given, [](DType known) { return info(known).name; });
  };
  const auto take = [&type, find](const CLI::results_t& names) {
    type = *find(names.back());
    return true;
  };
  const auto check = [find](std::string& given) {
    const bool known = find(given) != kCacheTypes.end();
    return known ? std::string() : "'" + given + "' is no type of a cache; f16, bf16, q8_0 and f32 are";
  };
  app.add_option(name, take, what)->type_name("TYPE")->group(kMore)->check(CLI::Validator(check, ""));
}

bool names_model(const std::string& word) {
  // A missing model is for the loader to report.
  return std::filesystem::exists(word) || word.ends_with(".gguf") || word.ends_with(".sbs");
}

}  // namespace

void ModelFlags::add_to(CLI::App& app) {
  add_text(app, "-m,--model,--weights", path, "FILE", "the model, a GGUF or .sbs file [CARAT_MODEL]");
  add_text(app, "--tokenizer", tokenizer, "FILE", "the SentencePiece model of an .sbs file that has none inside")
      ->group(kMore);
}

std::string ModelFlags::take_path(std::vector<std::string>& words) const {
  if (!path.empty()) return path;
  const char* const set = std::getenv("CARAT_MODEL");
  const bool has_default = set != nullptr && *set != '\0';
  const bool is_stdin = !words.empty() && words.front() == "-";
  if (!words.empty() && !(is_stdin && has_default)) {
    const std::string word = words.front();
    if (!names_model(word)) {
      throw BadUsage("'" + word + "' is not a file", "the first argument is the model; a prompt goes behind -p");
    }
    words.erase(words.begin());
    return word;
  }
  if (!has_default) throw BadUsage("no model", "name a model file with -m, or set CARAT_MODEL");
  return set;
}

void BackendFlags::add_to(CLI::App& app) {
  add_integer(app, "-t,--threads,--num-threads", threads, 1, kMaxThreads,
              "threads (default: as many as CPUs) [CARAT_THREADS]")
      ->envname("CARAT_THREADS");
  add_text(app, "--isa", isa, "NAME", "instruction set to use; 'list' shows what this machine has")->group(kMore);
}

BackendOptions BackendFlags::options() const {
  const auto usable = usable_isas();
  if (!isa.empty() && std::ranges::find(usable, isa) == usable.end()) {
    std::string names;
    for (const std::string_view name : usable) names += (names.empty() ? "" : ", ") + std::string(name);
    throw BadUsage("--isa: this machine cannot use '" + isa + "'", "it can use " + names);
  }
  return {threads ? *threads : std::min(usable_cpus(), kMaxThreads), isa};
}

void ContextFlags::add_to(CLI::App& app) {
  const auto automatic = [](std::string& input) {
    if (input == "auto") input = "0";
    return std::string();
  };
  add_integer(app, "-c,--ctx-size,--seq-len", context, 0, kMaxContext,
              "context, tokens (default: the model's, to 32768) [CARAT_CTX]")
      ->envname("CARAT_CTX")
      ->transform(CLI::Validator(automatic, ""));
  add_integer(app, "-b,--batch-size,--prefill-tbatch", batch, 1, kMaxBatch,
              "tokens of a prompt to read at a time (default: 512)")
      ->group(kMore);
  add_cache_type(app, "--cache-type-k", cache.k, "keep keys in f16, bf16, q8_0 or f32 (default: f16) [-ctk]");
  add_cache_type(app, "--cache-type-v", cache.v, "keep values in f16, bf16, q8_0 or f32 (default: f16) [-ctv]");
}

std::size_t ContextFlags::positions(const ModelConfig& config) const {
  if (context > config.context) {
    log_note("the model was trained for " + std::to_string(config.context) + " tokens of context, not " +
             std::to_string(context));
  }
  return context > 0 ? context : std::min(config.context, kDefaultContext);
}

void LookupFlags::add_to(CLI::App& app) {
  add_switch(app, "--lookup", lookup, "look up in the text how it goes on: faster where it repeats itself")
      ->group(kMore);
  add_integer(app, "--draft-max", max_draft, 1, static_cast<std::int64_t>(kFewRows - 1),
              "tokens that --lookup may run ahead (default: 8)")
      ->group(kMore);
}

std::optional<Lookup> LookupFlags::make(std::size_t context) const {
  if (!lookup) return std::nullopt;
  return Lookup(context, max_draft);
}

void add_stop_texts(CLI::App& app, std::vector<std::string>& texts) {
  const auto refuse_empty = [](std::string& text) { return std::string(text.empty() ? "a stop text is empty" : ""); };
  add_texts(app, "-r,--stop,--reverse-prompt", texts, "TEXT", "end the answer before this text; repeatable")
      ->check(CLI::Validator(refuse_empty, ""));
}

void LogFlags::add_to(CLI::App& app) {
  add_switch(app, "-q,--quiet", quiet, "say nothing but errors on standard error")->group(kMore);
  app.add_flag("-v,--verbose", verbose, "say more on standard error")->group(kMore);
}

void LogFlags::apply() const { set_log_verbosity(quiet ? -1 : verbose); }

}  // namespace carat
