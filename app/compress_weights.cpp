// carat compress-weights: any model to a file of the types asked for.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "app/commands.h"
#include "app/demo.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "app/join.h"
#include "app/log.h"
#include "app/model_names.h"
#include "app/open_model.h"
#include "app/options.h"
#include "app/output.h"
#include "app/target.h"
#include "convert/compress.h"

namespace carat {
namespace {

struct CompressFlags {
  std::string in, out, type, to, tokenizer, config, model;
  bool dry_run = false, verify = false, force = false;
  BackendFlags backend;
  LogFlags log;
};

// The two kinds of file that are written, by name or else by the ending of the file's.
enum class Target { gguf, sbs };

Target target_of(const CompressFlags& o) {
  const std::string ending = std::filesystem::path(o.out).extension();
  const std::string name = !o.to.empty() ? "." + o.to : ending;
  if (name == ".gguf") return Target::gguf;
  if (name == ".sbs") return Target::sbs;
  if (!o.to.empty()) throw BadUsage("--to: '" + o.to + "' is not known", "known are gguf, sbs");
  throw BadUsage("'" + o.out + "': does not end in .gguf or .sbs", "--to gguf or --to sbs says what to write");
}

std::optional<NamedGemma> model_of(const std::string& name) {
  if (name.empty()) return std::nullopt;
  const std::optional<NamedGemma> model = find_gemma(name);
  if (model) return model;
  std::string known;
  for (const KnownGemma& row : known_gemmas()) known += (known.empty() ? "" : ", ") + std::string(row.specifier);
  throw BadUsage("--model: '" + name + "' is not known", "known are " + known + "; each may end in -it or -pt");
}

std::string known_types(Target target) {
  std::vector<std::string> names;
  if (target == Target::sbs) names.assign(std::begin(kSbsTypes), std::end(kSbsTypes));
  if (target == Target::gguf)
    for (const FileType& type : file_types()) names.emplace_back(type.name);
  return join(names, ", ");
}

void check_type(Target target, const std::string& type) {
  const bool known = target == Target::gguf ? find_file_type(type) != nullptr
                                            : std::ranges::find(kSbsTypes, type) != std::end(kSbsTypes);
  const std::string kind = target == Target::gguf ? "GGUF" : ".sbs";
  if (!known)
    throw BadUsage("--type: '" + type + "' is no type of " + kind + " files", "known are " + known_types(target));
}

std::vector<PlannedTensor> plan(ModelSource& source, Target target, const std::string& type) {
  return target == Target::gguf ? plan_gguf(source, *find_file_type(type)) : plan_sbs(source, type);
}

// "123.4 MiB"
std::string size_text(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

// How far it is, on a terminal and nowhere else.
class ProgressLine {
 public:
  explicit ProgressLine(std::uint64_t total, bool wanted)
      : total_(total), shown_(wanted && ::isatty(STDERR_FILENO) == 1), start_(Clock::now()) {}
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() {
    if (shown_) say_inline("\r\x1b[K");
  }

  void show(std::uint64_t done) {
    const auto now = Clock::now();
    if (!shown_ || done == 0 || now - last_ < std::chrono::milliseconds(200)) return;
    last_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = static_cast<double>(done) / seconds;
    constexpr std::size_t kWidth = 30;
    const auto filled = static_cast<std::size_t>(kWidth * done / std::max<std::uint64_t>(total_, 1));
    char line[160];
    std::snprintf(line, sizeof line, "\r[%s%s] %s of %s, %.0f MiB/s, %.0f s left \x1b[K",
                  std::string(filled, '=').c_str(), std::string(kWidth - filled, ' ').c_str(), size_text(done).c_str(),
                  size_text(total_).c_str(), rate / (1 << 20), static_cast<double>(total_ - done) / rate);
    say_inline(line);
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::uint64_t total_;
  bool shown_;
  Clock::time_point start_, last_ = start_;
};

std::string row(const char* name, const char* type, std::uint64_t before, std::uint64_t after, const Distortion& d) {
  char line[200];
  std::snprintf(line, sizeof line, "%-34s %-6s %12s %12s %10.3g %10.3g %8.4f\n", name, type, size_text(before).c_str(),
                size_text(after).c_str(), d.worst, d.rms(), d.relative());
  return line;
}

// `mean` is the root of the mean square, `relative` that over the root of the mean square of the values.
std::string table(const CompressReport& report) {
  char head[200];
  std::snprintf(head, sizeof head, "%-34s %-6s %12s %12s %10s %10s %8s\n", "tensors", "type", "before", "after",
                "worst", "mean", "relative");
  std::string text = head;
  for (const TensorGroup& group : report.groups)
    text += row(group.name.c_str(), group.type.name().data(), group.bytes_before, group.bytes_after, group.distortion);
  const TensorGroup total = report.total();
  return text + row("all", "", total.bytes_before, total.bytes_after, total.distortion);
}

std::string plan_table(const std::vector<PlannedTensor>& plan) {
  std::string text;
  std::uint64_t before = 0, after = 0;
  char line[200];
  for (const PlannedTensor& planned : plan) {
    before += planned.tensor.bytes();
    after += planned.bytes;
    std::snprintf(line, sizeof line, "%-34s %-6s -> %-6s %12s %12s\n", planned.tensor.name.c_str(),
                  info(planned.tensor.dtype).name.data(), planned.type.name().data(),
                  size_text(planned.tensor.bytes()).c_str(), size_text(planned.bytes).c_str());
    text += line;
  }
  std::snprintf(line, sizeof line, "%-34s %16s %12s %12s\n", "all", "", size_text(before).c_str(),
                size_text(after).c_str());
  return text + line;
}

// IN and OUT, as words or as the flags of gemma.cpp's old tool.
void take_paths(CompressFlags& o, std::vector<std::string>& words) {
  for (std::string* path : {&o.in, &o.out}) {
    if (!path->empty() || words.empty()) continue;
    *path = words.front();
    words.erase(words.begin());
  }
  if (!words.empty()) throw BadUsage("'" + words.front() + "' is one argument too many");
  if (o.in.empty()) throw BadUsage("nothing to read", "carat compress-weights IN OUT");
  if (o.out.empty()) throw BadUsage("nowhere to write", "carat compress-weights IN OUT");
}

// A path, or the name of a model.
ModelSource open_named(const std::string& in, const SourceOptions& options) {
  const std::string path = model_path(in);
  return path == kDemoName ? open_source(open_file(path), options) : open_source(path, options);
}

int compress(const CompressFlags& given, Call& call) {
  CompressFlags o = given;
  o.log.apply();
  take_paths(o, call.words);
  const Target target = target_of(o);
  const std::optional<NamedGemma> model = model_of(o.model);
  const std::string type = !o.type.empty() ? o.type : target == Target::gguf ? "q8_0" : "sfp";
  check_type(target, type);
  if (!o.dry_run) check_target(o.out, o.force);
  std::error_code ignored;  // of an OUT that is not there yet
  if (!o.dry_run && std::filesystem::equivalent(model_path(o.in), o.out, ignored))
    throw BadUsage(o.out + ": is IN as well as OUT: what gets lost on the way would be lost for good");
  o.backend.refuse_gpu();
  const BackendOptions backend = o.backend.options();
  ModelSource source = open_named(o.in, {o.tokenizer, o.config, model});
  const std::vector<PlannedTensor> planned = plan(source, target, type);
  if (target == Target::sbs && source.metadata().text_or("general.architecture", "") == "gemma") {
    log_note("gemma.cpp itself has not read Gemma 1 since 2025; carat does");
  }
  if (o.dry_run) {
    print(plan_table(planned));
    return kExitDone;
  }

  const Interrupt::Watch watch(call.interrupt);
  std::optional<ProgressLine> line(std::in_place, source_bytes(planned), !o.log.quiet);
  CompressOptions options{.threads = backend.threads,
                          .isa = backend.isa,
                          .existing = o.force ? Existing::replace : Existing::keep,
                          .verify = o.verify,
                          .stop = watch.token(),
                          .progress = [&](std::uint64_t done) { line->show(done); }};
  try {
    const CompressReport report = target == Target::gguf
                                      ? compress_to_gguf(source, *find_file_type(type), o.out, options)
                                      : compress_to_sbs(source, type, o.out, options);
    line.reset();  // its place on the terminal is where the table begins
    if (!o.log.quiet) print(table(report));
  } catch (const Cancelled&) {  // no failure: it is what the signal asked for
    return kExitSignal + watch.signal();
  }
  return kExitDone;
}

}  // namespace

Command add_compress_weights(CLI::App& app) {
  const auto o = std::make_shared<CompressFlags>();
  add_text(app, "--type,--weight-type", o->type, "TYPE",
           "for .gguf: " + known_types(Target::gguf) + " (default: q8_0); for .sbs: " + known_types(Target::sbs) +
               " (default: sfp)");
  add_text(app, "--to", o->to, "KIND", "gguf or sbs (default: as OUT ends)");
  add_text(app, "--tokenizer", o->tokenizer, "FILE",
           "tokenizer.model, tokenizer.json or tokenizer.bin, where IN has none");
  add_text(app, "--model", o->model, "NAME",
           "which Gemma IN is, as gemma.cpp calls it: gemma2-2b-it, gemma3-1b, ...; a raw dump does not say");
  add_text(app, "--config", o->config, "FILE", "a model file that says what a raw dump does not");
  add_switch(app, "--dry-run", o->dry_run, "print what would become of each tensor, write nothing");
  add_switch(app, "--verify", o->verify, "read the output back and compare before it is put in place");
  add_switch(app, "--force", o->force, "replace OUT if it exists");
  add_text(app, "--weights", o->in, "IN", "the model to read")->group(kMore);
  add_text(app, "--compressed-weights", o->out, "OUT", "the file to write")->group(kMore);
  o->backend.add_to(app);
  o->log.add_to(app);
  return [o](Call& call) { return compress(*o, call); };
}

}  // namespace carat
