#include "app/output_flags.h"

#include <unistd.h>

#include "app/flags.h"
#include "app/terminal.h"

namespace carat {
namespace {

bool errors_are_seen() { return ::isatty(STDERR_FILENO) == 1; }

}  // namespace

void ThoughtFlags::add_to(CLI::App& app) {
  add_text(app, "--think-output", output, "WHERE",
           "where a model's thoughts go: stderr, stdout or none (default: stderr if a terminal)")
      ->check(one_of({"stderr", "stdout", "none", "auto"}))
      ->group(kMore);
  add_text(app, "--color", color, "WHEN", "colours, and thoughts dimmed: always, never, auto (where a terminal can)")
      ->check(one_of({"always", "never", "auto", "on", "off"}))
      ->group(kMore);
}

TextSinkOptions::Thoughts ThoughtFlags::shown() const {
  using Shown = TextSinkOptions::Thoughts;
  if (output == "stdout") return Shown::on_stdout;
  const bool to_stderr = output == "stderr" || (output == "auto" && errors_are_seen());
  return to_stderr ? Shown::on_stderr : Shown::hidden;
}

bool ThoughtFlags::dims() const {
  return shown() == TextSinkOptions::Thoughts::on_stderr && shows_colour(STDERR_FILENO, color);
}

void OutputFlags::add_to(CLI::App& app, const std::string& stats_when) {
  const auto take_format = [this](const CLI::results_t& results) {
    const std::string& name = results.back();
    format = name == "json" ? OutputFormat::json : name == "ndjson" ? OutputFormat::ndjson : OutputFormat::text;
    return true;
  };
  app.add_option("-o,--output-format", take_format, "text, json (the result alone) or ndjson (a line per event)")
      ->type_name("FORMAT")
      ->check(one_of({"text", "json", "ndjson"}));
  app.add_flag_callback(
         "--ndjson", [this] { format = OutputFormat::ndjson; }, "the same as -o ndjson")
      ->group(kMore);
  add_text(app, "--source", source, "LABEL", "who answers, in json and ndjson (default: carat_local)")->group(kMore);
  add_switch(app, "--newline", newline, "end the answer with a line feed (default: on)")->group(kMore);
  add_switch(app, "--stats", stats, "say how fast it was (default: " + stats_when + ")")->group(kMore);
  add_text(app, "--progress", progress, "WHEN", "show how far it is: on, off or auto (on a terminal)")
      ->check(one_of({"on", "off", "auto"}))
      ->group(kMore);
  thoughts.add_to(app);
}

bool OutputFlags::shows_progress() const {
  if (progress != "auto") return progress == "on";
  return format == OutputFormat::text && errors_are_seen();
}

std::unique_ptr<Sink> OutputFlags::make_sink(Output& output, const std::string& id, bool quiet) const {
  if (format != OutputFormat::text) {
    const auto shows = format == OutputFormat::json ? JsonSink::Shows::the_end : JsonSink::Shows::everything;
    return std::make_unique<JsonSink>(output, shows, RequestLabel{.id = id, .source = source});
  }
  return std::make_unique<TextSink>(TextSinkOptions{
      .final_newline = newline,
      .stats = stats.value_or(errors_are_seen()) && !quiet,
      .progress = shows_progress() && !quiet,
      .thoughts = thoughts.shown(),
      .dims_thoughts = thoughts.dims(),
  });
}

}  // namespace carat
