// carat bench: how fast models run here, and how fast they could at most.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

#include "app/bench_lists.h"
#include "app/bench_measure.h"
#include "app/bench_model.h"
#include "app/bench_report.h"
#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/gpu_choice.h"
#include "app/interrupt.h"
#include "app/log.h"
#include "app/model_names.h"
#include "app/options.h"
#include "app/output.h"
#include "app/user_path.h"
#include "engine/error.h"
#include "engine/signature.h"
#include "kernels/gpu.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;
using Texts = std::vector<std::string>;

constexpr CountRange kTokens = {0, std::size_t{1} << 24};
constexpr CountRange kBatches = {1, std::size_t{1} << 16};
constexpr CountRange kThreads = {1, 1024};

// Lists as they were given; empty: the default.
struct BenchFlags {
  Texts models, presets, types, prompts, replies, pairs, depths, batches, steps, keys, values, threads, isas;
  std::string gpu_layers, flash_attention;
  std::size_t repetitions = 5;
  std::string output = "md", output_err;
  bool warm_up = true, ceilings = true, progress = false, signature = false;
  TimeoutFlag timeout;
  LogFlags log;
};

using ModelChoice = std::variant<std::string, MadeUpModel>;  // a path, or what is to be made up

struct Plan {
  std::vector<ModelChoice> models;
  std::vector<BackendFlags> backends;
  std::vector<std::size_t> batches, steps;
  std::vector<CacheTypes> caches;
  std::vector<BenchTest> tests;

  std::size_t measurements() const {
    return models.size() * backends.size() * batches.size() * steps.size() * caches.size() * tests.size();
  }
};

Texts or_default(const Texts& texts, const char* standard) { return texts.empty() ? Texts{standard} : texts; }

// Names of files may have commas in them.
Texts model_paths(const Texts& texts) {
  Texts paths;
  for (const std::string& text : texts) {
    if (is_there(text)) {
      paths.push_back(text);
    } else {
      for (std::string& path : split_lists("-m", {text})) paths.push_back(std::move(path));
    }
  }
  return paths;
}

std::vector<ModelChoice> choose_models(const BenchFlags& f, Texts& words) {
  std::vector<ModelChoice> models;
  for (const std::string& path : model_paths(f.models)) models.emplace_back(model_path(path));
  for (const std::string& preset : split_lists("--preset", f.presets))
    for (const std::string& type : split_lists("--type", or_default(f.types, "q4_0")))
      models.emplace_back(plan_bench_model(preset, type));
  if (!f.types.empty() && f.presets.empty()) throw BadUsage("--type is that of a --preset: a file has its own");
  if (models.empty()) models.emplace_back(ModelFlags{}.take_path(words));
  if (!words.empty()) throw BadUsage("'" + words.front() + "' is one argument too many", "several models: -m A,B");
  return models;
}

std::vector<BackendFlags> choose_backends(const BenchFlags& f) {
  std::vector<std::size_t> threads = parse_counts("-t", f.threads, kThreads);
  if (threads.empty()) threads.push_back(BackendFlags{}.options().threads);
  std::vector<BackendFlags> backends;
  for (const std::string& isa : f.isas.empty() ? Texts{""} : split_lists("--isa", f.isas))
    for (const std::size_t count : threads) {
      BackendFlags backend;
      backend.threads = count;
      backend.isa = isa;
      backend.flash_attention = f.flash_attention;
      if (!f.gpu_layers.empty()) backend.gpu_layers = f.gpu_layers;
      backends.push_back(backend);
    }
  for (const BackendFlags& backend : backends) (void)backend.options();  // says what this machine cannot use
  return backends;
}

// Of each depth: prompts, then replies, then both together, as llama-bench has them.
std::vector<BenchTest> choose_tests(const BenchFlags& f) {
  const auto prompts = parse_counts("-p", or_default(f.prompts, "512"), kTokens);
  const auto replies = parse_counts("-n", or_default(f.replies, "128"), kTokens);
  const auto pairs = parse_pairs("-pg", f.pairs, kTokens);
  std::vector<BenchTest> tests;
  for (const std::size_t depth : parse_counts("-d", or_default(f.depths, "0"), kTokens)) {
    for (const std::size_t prompt : prompts) tests.push_back({prompt, 0, depth});
    for (const std::size_t reply : replies) tests.push_back({0, reply, depth});
    for (const PromptAndReply& pair : pairs) tests.push_back({pair.prompt, pair.reply, depth});
  }
  std::erase_if(tests, [](const BenchTest& test) { return test.tokens() == 0; });
  if (tests.empty()) throw BadUsage("nothing to measure: -p, -n and -pg are all 0");
  return tests;
}

std::vector<CacheTypes> choose_caches(const BenchFlags& f) {
  std::vector<CacheTypes> caches;
  for (const DType k : parse_cache_types("-ctk", or_default(f.keys, "f16")))
    for (const DType v : parse_cache_types("-ctv", or_default(f.values, "f16"))) caches.push_back({k, v});
  return caches;
}

Plan make_plan(const BenchFlags& f, Texts& words) {
  choose_device(choose_backends(f).front());  // or says that there is none, before any file is opened
  return {choose_models(f, words),
          choose_backends(f),
          parse_counts("-b", or_default(f.batches, "2048"), kBatches),
          parse_counts("-ub", or_default(f.steps, "512"), kBatches),
          choose_caches(f),
          choose_tests(f)};
}

std::string time_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Both reports at once, as results come.
class Reports {
 public:
  explicit Reports(const BenchFlags& f) {
    const BenchColumns columns = {!f.batches.empty(), !f.steps.empty(), !f.keys.empty(),
                                  !f.values.empty(),  !f.isas.empty(),  !f.gpu_layers.empty()};
    out_ = report("-o", f.output, columns);
    if (!f.output_err.empty()) err_ = report("-oe", f.output_err, columns);
  }

  void begin() { write(&BenchReport::begin); }
  void add(const BenchResult& result) {
    print(out_->row(result));
    if (err_ != nullptr) say_inline(err_->row(result));
  }
  // Any thread's, the first time.
  void end() {
    std::call_once(ended_, [this] { write(&BenchReport::end); });
  }

 private:
  static std::unique_ptr<BenchReport> report(const std::string& flag, const std::string& format,
                                             const BenchColumns& columns) {
    auto report = make_bench_report(format, columns);
    if (report != nullptr) return report;
    throw BadUsage(flag + ": there is no format '" + format + "'", "there are " + std::string(kBenchFormats));
  }
  void write(std::string (BenchReport::*text)()) {
    print((*out_.*text)());
    if (err_ != nullptr) say_inline((*err_.*text)());
  }

  std::unique_ptr<BenchReport> out_, err_;
  std::once_flag ended_;
};

class Bench {
 public:
  Bench(const BenchFlags& flags, const Plan& plan, Interrupt& interrupt)
      : flags_(flags), plan_(plan), interrupt_(interrupt), reports_(flags) {}

  // What a failure leaves of the report is whole.
  int run() try {
    std::vector<std::optional<BenchModel>> files;  // all at once, so that a missing one is known before the first test
    for (const ModelChoice& choice : plan_.models) {
      const auto* const path = std::get_if<std::string>(&choice);
      files.push_back(path != nullptr ? std::optional(open_bench_model(*path)) : std::nullopt);
    }
    for (std::size_t i = 0; i < files.size() && !stopped(); ++i) {
      const BenchModel model =
          files[i] ? std::move(*files[i]) : make_bench_model(std::get<MadeUpModel>(plan_.models[i]));
      for (const BackendFlags& backend : plan_.backends)
        if (!stopped()) run_backend(model, backend);
    }
    reports_.end();
    if (!stopped()) return kExitDone;
    if (watch_->ending().kind == Ending::Kind::timeout) log_error("the time was up before all tests were done");
    return watch_->ending().exit_code();
  } catch (const std::exception&) {
    if (watch_) end_report();
    throw;
  }

 private:
  void end_report() try { reports_.end(); } catch (const std::exception&) {  // nobody is there to be told
  }

  bool stopped() const { return watch_ && watch_->ending(); }

  // The largest session that the tests ask for, and the largest step.
  SessionOptions largest_session() const {
    SessionOptions largest{1, std::min(std::ranges::max(plan_.batches), std::ranges::max(plan_.steps)), {}};
    for (const BenchTest& test : plan_.tests) largest.context = std::max(largest.context, test.depth + test.tokens());
    for (const CacheTypes& cache : plan_.caches)
      if (info(cache.k).bytes * info(largest.cache.k).block > info(largest.cache.k).bytes * info(cache.k).block)
        largest.cache = cache;
    return largest;
  }

  void run_backend(const BenchModel& bench, const BackendFlags& flags) {
    const BackendOptions options = flags.options();
    const auto start = Clock::now();
    const GpuChoice gpu = choose_gpu(flags, bench.file, read_config(bench.file), largest_session());
    const Model model = load_placed(bench.file, options, gpu);
    BenchResult result;
    result.device = device_of(model);
    result.gpu_layers = gpu.layers;
    if (gpu.layers > 0) result.gpu_name = gpu.device.gpu.name;
    const bool on_gpu_alone = gpu.layers > 0 && model.border() == 0;
    if (on_gpu_alone && flags_.ceilings) result.gpu_ceiling = gpu_copy_rate(gpu.device.index);
    result.load_ms = bench.open_ms + std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    result.model_name = bench.name;
    result.model_type = bench.type;
    result.model_bytes = bench.bytes;
    result.model_parameters = bench.parameters;
    result.isa = model.backend->name();
    result.threads = options.threads;
    const auto probe = flags_.ceilings && gpu.layers == 0 ? std::make_unique<Probe>(options) : nullptr;
    if (probe != nullptr) result.product = probe->product();
    for (const std::size_t batch : plan_.batches)
      for (const std::size_t step : plan_.steps)
        for (const CacheTypes& cache : plan_.caches) {
          result.batch = batch;
          result.step = step;
          result.cache = cache;
          run_tests(bench, model, probe.get(), result);
        }
  }

  void run_tests(const BenchModel& bench, const Model& model, Probe* probe, BenchResult& result) {
    for (const BenchTest& test : plan_.tests) {
      if (stopped()) return;
      result.test = test;
      run_test(bench, model, probe, result);
    }
  }

  void run_test(const BenchModel& bench, const Model& model, Probe* probe, BenchResult& result) {
    if (!watch_) {
      watch_.emplace(interrupt_);
      last_words_.emplace(
          interrupt_, [this](const Ending&) { end_report(); }, [] { return std::string("measuring"); });
      reports_.begin();
    }
    if (flags_.progress) {
      say("carat: " + std::to_string(++begun_) + " of " + std::to_string(plan_.measurements()) + ": " +
          result.model_type + ", " + result.test.name());
    }
    std::vector<std::span<const std::byte>> weights;
    for (const FileTensor& tensor : bench.file.tensors()) weights.push_back(tensor.bytes);
    result.test_time = time_now();
    const SessionOptions session = {0, std::min(result.batch, result.step), result.cache};
    result.times =
        measure(model, probe, weights, {result.test, session, flags_.repetitions, flags_.warm_up, result.gpu_ceiling},
                watch_->token());
    if (!result.times.samples_ns.empty()) reports_.add(result);
  }

  const BenchFlags& flags_;
  const Plan& plan_;
  Interrupt& interrupt_;
  Reports reports_;
  std::optional<Interrupt::Watch> watch_;  // from the first test on: what was finished is to be reported
  std::optional<Interrupt::LastWords> last_words_;
  std::size_t begun_ = 0;
};

int print_signature(const BenchFlags& f) {
  char line[16];
  for (const BackendFlags& backend : choose_backends(f)) {
    std::snprintf(line, sizeof line, "%08x\n", signature(signature_steps(backend.options())));
    print(line);
  }
  return kExitDone;
}

int bench(const BenchFlags& f, Call& call) {
  f.log.apply();
  if (f.timeout.given()) {
    call.interrupt.set_deadline(call.start.start() + f.timeout.timeout);
    call.interrupt.set_grace(std::chrono::seconds(1));  // to print the repetitions that are done
  }
  if (f.signature) return print_signature(f);
  const Plan plan = make_plan(f, call.words);
  return Bench(f, plan, call.interrupt).run();
}

void add_model_flags(CLI::App& app, BenchFlags& f) {
  add_texts(app, "-m,--model,--weights", f.models, "MODEL,...", "GGUF or .sbs files, or their names [CARAT_MODEL]");
  add_texts(app, "--preset", f.presets, "NAME,...", "or: of this shape, with made-up weights; 'gemma3-1b', 'qwen3-4b'");
  add_texts(app, "--type", f.types, "TYPE,...", "of a preset's weights, as compress-weights has them (default: q4_0)");
}

void add_test_flags(CLI::App& app, BenchFlags& f) {
  add_texts(app, "-p,--n-prompt", f.prompts, "N,...", "read a prompt of N tokens, 'pp' (default: 512)");
  add_texts(app, "-n,--n-gen", f.replies, "N,...", "write N tokens, 'tg' (default: 128)");
  add_texts(app, "--prompt-gen", f.pairs, "P,N", "read P tokens and write N, together; repeatable");
  add_texts(app, "-d,--n-depth", f.depths, "N,...", "with N tokens in the context before (default: 0)");
  add_texts(app, "-t,--threads", f.threads, "N,...", "threads (default: as many as CPUs) [CARAT_THREADS]")
      ->envname("CARAT_THREADS");
  add_texts(app, "-b,--batch-size", f.batches, "N,...", "tokens of a batch (default: 2048)")->group(kMore);
  add_texts(app, "--ubatch-size", f.steps, "N,...", "tokens of a batch that are read at once (default: 512)")
      ->group(kMore);
  add_texts(app, "--cache-type-k", f.keys, "TYPE,...", "keep keys in f16, bf16, q8_0 or f32 (default: f16)")
      ->group(kMore);
  add_texts(app, "--cache-type-v", f.values, "TYPE,...", "keep values in these (default: f16)")->group(kMore);
  add_texts(app, "--isa", f.isas, "NAME,...", "instruction sets to use; 'list' shows what this machine has")
      ->group(kMore);
  add_text(app, "--n-gpu-layers,--gpu-layers", f.gpu_layers, "N", "layers on a GPU: N, auto (what fits) or all")
      ->group(kMore);
  add_text(app, "--flash-attn", f.flash_attention, "on", "attention in blocks; it always is")->group(kMore);
}

}  // namespace

Command add_bench(CLI::App& app) {
  const auto f = std::make_shared<BenchFlags>();
  add_model_flags(app, *f);
  add_test_flags(app, *f);
  add_integer(app, "-r,--repetitions", f->repetitions, 1, 1'000'000, "of each test (default: 5)");
  add_text(app, "-o,--output", f->output, "FORMAT", "md, csv, json, jsonl or sql (default: md)");
  add_text(app, "--output-err", f->output_err, "FORMAT", "another report, on standard error")->group(kMore);
  add_switch(app, "--warmup", f->warm_up, "run each test once before it counts (default: on)")->group(kMore);
  add_switch(app, "--ceilings", f->ceilings, "measure what the machine could do at most (default: on)");
  add_switch(app, "--progress", f->progress, "say on standard error which test is running")->group(kMore);
  add_switch(app, "--signature", f->signature, "only print a hash of what the engine computes");
  f->timeout.add_to(app, "end by then, with the repetitions that are done: 30, 2m, 1h [CARAT_TIMEOUT]")
      ->envname("CARAT_TIMEOUT")
      ->group(kMore);
  f->log.add_to(app);
  return [f](Call& call) { return bench(*f, call); };
}

}  // namespace carat
