#include "app/run_options.h"

#include <limits>

#include "app/failure.h"
#include "app/flags.h"

namespace carat {
namespace {

constexpr std::int64_t kMaxParallel = 256;
constexpr std::int64_t kMaxLogprobs = 100;

}  // namespace

void add_messages(CLI::App& app, std::string& file) {
  add_text(app, "--messages", file, "FILE", "a conversation to go on with: [{\"role\": …, \"content\": …}, …]")
      ->group(kMore);
}

void add_raw(CLI::App& app, bool& raw) {
  add_switch(app, "--raw", raw, "go on with the prompt as it is, without turns")->group(kMore);
}

void add_echo(CLI::App& app, bool& echo) {
  add_switch(app, "--echo", echo, "show the prompt, too, as the model reads it")->group(kMore);
}

void add_logprobs(CLI::App& app, std::optional<std::size_t>& count) {
  add_integer(app, "--logprobs", count, 0, kMaxLogprobs,
              "in ndjson, the logarithm of each token's probability, and the N likeliest")
      ->group(kMore);
}

void check_raw(bool raw, const FrameFlags& frame, const RenderFlags& render, const std::string& messages) {
  if (raw && (!frame.empty() || !render.empty() || !messages.empty())) {
    throw BadUsage("--raw knows no turns: no --template, no --system, no --messages and no --think go with it");
  }
}

void check_shown(const OutputFlags& output, bool echo, std::optional<std::size_t> logprobs) {
  if (echo && output.format != OutputFormat::text) throw BadUsage("--echo goes with -o text alone");
  if (logprobs && output.format != OutputFormat::ndjson) throw BadUsage("--logprobs needs -o ndjson");
}

void QueryFlags::add_to(CLI::App& app) {
  add_integer(app, "-n,--predict,--max-tokens,--n-predict,--max-generated-tokens", tokens, -1,
              std::numeric_limits<std::int32_t>::max(), "tokens to write at most; -1: no limit (default: 2048)");
  sampling.add_to(app);
  add_stop_texts(app, stops);
  add_logprobs(app, logprobs);
  constraint.add_to(app);
}

void RunOptions::add_to(CLI::App& app) {
  model.add_to(app);
  prompt.add_to(app);
  add_messages(app, messages);
  frame.add_to(app);
  render.add_to(app);
  add_raw(app, raw);
  context.add_to(app);
  lookup.add_to(app);
  overflow.add_to(
      app,
      "in a full context: stop (default), shift (forget the older half, go on), error (refuse a prompt that leaves "
      "no room for -n tokens), drop-turns (of --messages, until the prompt fits)");
  query.add_to(app);
  load.add_to(app);
  backend.add_to(app);
  output.add_to(app, "on a terminal");
  add_echo(app, echo);
  add_text(app, "--input-format", input_format, "FORMAT",
           "text, or jsonl: requests on standard input, one a line, answered until it ends")
      ->check(one_of({"text", "jsonl"}))
      ->group(kMore);
  add_integer(app, "--parallel", parallel, 1, kMaxParallel, "requests of jsonl to answer at once (default: 1)")
      ->group(kMore);
  session.add_to(app);
  timeout.add_to(app, "end by then, with what there is: 30, 500ms, 2m, 1h [CARAT_TIMEOUT]")->envname("CARAT_TIMEOUT");
  log.add_to(app);
}

// The flags that read standard input.
std::vector<std::string> RunOptions::stdin_flags() const {
  std::vector<std::string> flags;
  const auto note = [&flags](const char* flag, const std::string& file) {
    if (file == "-") flags.emplace_back(flag);
  };
  for (const std::string& file : prompt.files) note("--file", file);
  note("--messages", messages);
  note("--system-file", frame.system_file);
  note("--json-schema-file", query.constraint.json_schema_file.value_or(""));
  note("--grammar-file", query.constraint.grammar_file.value_or(""));
  return flags;
}

void RunOptions::check() const {
  const std::vector<std::string> readers = stdin_flags();
  if (is_worker() && !readers.empty()) {
    throw BadUsage(readers[0] + " -: standard input has the requests, and nothing else");
  }
  if (readers.size() > 1) throw BadUsage(readers[0] + " and " + readers[1] + ": standard input is read once");
  (void)query.constraint.automaton();  // what is wrong with it is said before the model is opened
  check_raw(raw, frame, render, messages);
  check_shown(output, echo, query.logprobs);
  overflow.check(lookup);
  session.check();
  const bool has_session = !session.file.empty();
  if (has_session && (raw || !messages.empty())) {
    throw BadUsage("--session: neither --raw nor --messages go with it: it is a conversation itself");
  }
  if (!is_worker()) {
    if (parallel > 1) throw BadUsage("--parallel goes with --input-format jsonl");
    return;
  }
  if (output.format == OutputFormat::text) throw BadUsage("--input-format jsonl needs -o ndjson or -o json");
  if (has_session)
    throw BadUsage("--session: not with --input-format jsonl, where requests know nothing of each other");
  if (lookup.is_asked_for())
    throw BadUsage(lookup.name() + ": not with --input-format jsonl, where requests are answered together");
  if (!prompt.prompts.empty() || !prompt.files.empty() || !messages.empty()) {
    throw BadUsage("--input-format jsonl: the prompts come on standard input");
  }
}

}  // namespace carat
