// Groups of flags that several commands share, and what they come to.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/event.h"
#include "app/placement_flags.h"
#include "engine/file/mapped_file.h"
#include "engine/kv_cache.h"
#include "engine/lookup.h"
#include "engine/model_config.h"
#include "kernels/backend.h"

namespace carat {

class Flag;

struct ModelFlags {
  std::string path;
  std::string fallback;   // of the user's settings
  std::string tokenizer;  // of files that have none inside

  void add_to(CLI::App&);

  // The path of the model: the flag's, else the first of `words`, which is taken away, else CARAT_MODEL's, else that of
  // the settings, else the model inside, which is noted. Each may be a name that 'carat list' shows.
  std::string take_path(std::vector<std::string>& words) const;
};

struct BackendFlags {
  std::optional<std::size_t> threads;  // none: as many as there are CPUs to use
  std::optional<std::size_t> batch_threads;
  PlacementFlags placement;
  std::string isa;  // empty: the best
  std::string flash_attention;
  std::string device = "auto", gpu_layers = "auto";

  void add_to(CLI::App&);

  // Also binds this thread, and those it starts from now on, to the CPUs that are asked for. Throws BadUsage and
  // Failure.
  BackendOptions options() const;
  // For what only the CPU does. Throws Failure (resource) where a GPU was asked for.
  void refuse_gpu() const;
};

// How the model's file comes to lie in memory.
struct LoadFlags {
  std::string mode = "auto";
  std::optional<bool> maps;
  bool locks = false;

  void add_to(CLI::App&);
  Loading loading() const;  // throws BadUsage
};

struct ContextFlags {
  std::size_t context = 0;  // 0: of the model's choice
  std::size_t batch = 2048, microbatch = 512;
  CacheTypes cache;

  void add_to(CLI::App&);

  // Tokens of a prompt that are read at once: a batch is read by microbatches, one after another.
  std::size_t step() const { return std::min(batch, microbatch); }

  // Positions to make room for; with a warning of a context beyond what the model was trained for.
  std::size_t positions(const ModelConfig& config, std::vector<Warning>& warnings) const;
  // The same; logs the warnings.
  std::size_t positions(const ModelConfig& config) const;
};

struct LookupFlags {
  std::optional<bool> lookup;  // none: where it can be done
  std::size_t max_draft = kFewRows - 1;
  std::string draft_model;  // a file; empty: none

  void add_to(CLI::App&);

  bool is_asked_for() const { return lookup.value_or(false) || !draft_model.empty(); }
  std::string name() const { return draft_model.empty() ? "--lookup" : "--draft-model"; }  // of what is asked for

  // None where the flag says so, and for a context that moves on by `shifts`.
  std::optional<Lookup> make(std::size_t context, bool shifts) const;
};

// What to do when the context is full.
enum class Overflow {
  error,       // refuse what leaves no room
  stop,        // an answer ends there
  shift,       // forget the older half, in the middle of a sentence if need be, and go on
  drop_turns,  // forget whole turns, the oldest first
};

struct OverflowFlags {
  Overflow policy;
  std::size_t keep = 0;  // tokens at the beginning that Overflow::shift keeps

  // `what` says what comes of each policy.
  void add_to(CLI::App&, const std::string& what);
  void check(const LookupFlags& lookup) const;  // throws BadUsage for flags that do not go together
};

// That the oldest turns of a conversation, at least one, were left out.
Warning forgotten_turns(std::size_t turns);

// --session: a conversation in a file, to go on with and to keep.
struct SessionFlags {
  std::string file;        // empty: none
  bool read_only = false;  // do not change it

  void add_to(CLI::App&);
  void check() const;  // throws BadUsage for flags that do not go together
};

// --timeout: how long something may take.
struct TimeoutFlag {
  std::chrono::nanoseconds timeout{};  // 0: as long as it takes

  Flag add_to(CLI::App&, const std::string& what);
  bool given() const { return timeout.count() > 0; }
};

// --stop: texts that end an answer.
void add_stop_texts(CLI::App&, std::vector<std::string>& texts);

struct LogFlags {
  bool quiet = false;
  int verbose = 0;
  std::string file;

  void add_to(CLI::App&);
  void apply() const;
};

}  // namespace carat
