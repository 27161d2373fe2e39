// Groups of flags that several commands share, and what they come to.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/lookup.h"
#include "kernels/backend.h"

namespace CLI {
class App;
}

namespace carat {

struct ModelFlags {
  std::string path;
  std::string tokenizer;  // of files that have none inside

  void add_to(CLI::App&);

  // The path of the model: the flag's, else the first of `words`, which is taken away, else CARAT_MODEL's.
  std::string take_path(std::vector<std::string>& words) const;
};

struct BackendFlags {
  std::optional<std::size_t> threads;  // none: as many as there are CPUs to use
  std::string isa;                     // empty: the best

  void add_to(CLI::App&);
  BackendOptions options() const;
};

struct ContextFlags {
  std::size_t context = 0;  // 0: of the model's choice
  std::size_t batch = 512;
  CacheTypes cache;

  void add_to(CLI::App&);

  // Positions to make room for. Notes a context beyond what the model was trained for.
  std::size_t positions(const ModelConfig& config) const;
};

struct LookupFlags {
  bool lookup = false;
  std::size_t max_draft = 8;

  void add_to(CLI::App&);

  // None where the flag says so.
  std::optional<Lookup> make(std::size_t context) const;
};

// --stop: texts that end an answer.
void add_stop_texts(CLI::App&, std::vector<std::string>& texts);

struct LogFlags {
  bool quiet = false;
  int verbose = 0;

  void add_to(CLI::App&);
  void apply() const;
};

}  // namespace carat
