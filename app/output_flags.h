// How an answer is shown, and what is said beside it.
#pragma once
#include <memory>
#include <string>

#include "app/json_sink.h"
#include "app/text_sink.h"

namespace CLI {
class App;
}

namespace carat {

enum class OutputFormat { text, json, ndjson };

// Where a model's thoughts go.
struct ThoughtFlags {
  std::string output = "auto";  // stderr, stdout, none
  std::string color = "auto";   // always, never

  void add_to(CLI::App&);

  TextSinkOptions::Thoughts shown() const;
  bool dims() const;
};

struct OutputFlags {
  OutputFormat format = OutputFormat::text;
  std::string source = "carat_local";
  bool newline = true;
  std::optional<bool> stats;      // none: on a terminal
  std::string progress = "auto";  // on, off
  ThoughtFlags thoughts;

  // `stats_when`: the default of --stats, in words.
  void add_to(CLI::App&, const std::string& stats_when);

  bool shows_progress() const;

  // `output` outlives the sink. `id` is the request's.
  std::unique_ptr<Sink> make_sink(Output& output, const std::string& id, bool quiet) const;
};

}  // namespace carat
