// carat eval: how well a model foresees a text, and its logits for given tokens.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/gpu_choice.h"
#include "app/ids.h"
#include "app/interrupt.h"
#include "app/memory_need.h"
#include "app/open_model.h"
#include "app/options.h"
#include "app/output.h"
#include "app/text_input.h"
#include "engine/file/output_file.h"
#include "engine/perplexity.h"

namespace carat {
namespace {

struct EvalOptions {
  ModelFlags model;
  std::string text_file, ids_file, logits_out;
  std::optional<std::size_t> last;
  ContextFlags context;
  LoadFlags load;
  BackendFlags backend;
  LogFlags log;
};

int exit_code(const Interrupt::Watch& watch) { return watch.signal() == 0 ? kExitDone : kExitSignal + watch.signal(); }

// Tokens, cross-entropy and perplexity of a text.
int measure(const EvalOptions& o, const std::string& path, Interrupt& interrupt) {
  const std::string text = read_text(o.text_file);
  const OpenModel model =
      open_model(open_files(path, o.model.tokenizer, o.load.loading()), o.backend, o.backend.options(), o.context);
  const std::vector<TokenId> ids = model.tokenizer->encode(text);
  const TokenId first = model.tokenizer->add_bos() ? model.tokenizer->bos() : -1;
  const std::size_t all = ids.size() + (first >= 0 ? 1 : 0);
  const std::size_t context = std::min(o.context.positions(model.model.config), all);
  if (context < 2) throw BadUsage(source_name(o.text_file) + ": too few tokens to foresee any");

  const SessionOptions room{context, o.context.step(), o.context.cache};
  check_memory(model.files.file, model.model, room);
  Session session(model.model, room);
  const Interrupt::Watch watch(interrupt);
  const CrossEntropy result = cross_entropy(session, ids, first, watch.token());
  if (result.stopped) return exit_code(watch);
  char lines[160];
  std::snprintf(lines, sizeof lines, "tokens         %zu\ncross-entropy  %.6f\nperplexity     %.6f\n", result.tokens,
                result.per_token(), std::exp(result.per_token()));
  print(lines);
  return kExitDone;
}

// The logits of ids as they are, float32 [positions, vocabulary], to a file.
int write_logits(const EvalOptions& o, const std::string& path, Interrupt& interrupt) {
  const std::string text = read_text(o.ids_file);
  const ModelFile file = open_file(path, o.load.loading());
  const Model model = load_placed(file, o.backend.options(), choose_gpu(o.backend, o.context, file));
  const std::vector<TokenId> ids = parse_ids(text, source_name(o.ids_file), model.config.vocabulary);
  if (ids.empty()) throw BadUsage(source_name(o.ids_file) + ": no ids");
  const std::size_t context = o.context.context > 0 ? o.context.positions(model.config) : ids.size();
  if (ids.size() > context) {
    throw PromptTooLong(source_name(o.ids_file) + ": " + std::to_string(ids.size()) + " ids, the context " +
                        std::to_string(context));
  }

  const SessionOptions room{ids.size(), o.context.step(), o.context.cache};
  check_memory(file, model, room);
  Session session(model, room);
  const Interrupt::Watch watch(interrupt);
  OutputFile out(o.logits_out);
  const std::size_t skip = ids.size() - std::min(ids.size(), o.last.value_or(ids.size()));
  const auto write = [&out](std::size_t, std::span<const float> logits) { out.write(std::as_bytes(logits)); };
  if (!session.feed(ids, skip, write, watch.token())) return exit_code(watch);
  out.commit();
  return kExitDone;
}

int eval(const EvalOptions& o, Call& call) {
  o.log.apply();
  const std::string path = o.model.take_path(call.words);
  refuse_words(call);
  if (o.text_file.empty() == o.ids_file.empty()) throw BadUsage("what to read: -f TEXT, or --ids-file IDS");
  if (o.ids_file.empty() != o.logits_out.empty()) throw BadUsage("--ids-file and --logits-out go together");
  if (o.last && o.logits_out.empty()) throw BadUsage("--last goes with --logits-out");
  return o.ids_file.empty() ? measure(o, path, call.interrupt) : write_logits(o, path, call.interrupt);
}

}  // namespace

Command add_eval(CLI::App& app) {
  const auto o = std::make_shared<EvalOptions>();
  o->model.add_to(app);
  add_text(app, "-f,--file", o->text_file, "FILE", "print the perplexity of a text, and nats per token");
  add_text(app, "--ids-file", o->ids_file, "FILE", "or: read token ids, as they are");
  add_text(app, "--logits-out", o->logits_out, "FILE", "and write their logits, float32 [positions, vocabulary]");
  add_integer(app, "--last", o->last, 1, std::int64_t{1} << 30, "of the last N positions only");
  o->context.add_to(app);
  o->load.add_to(app);
  o->backend.add_to(app);
  o->log.add_to(app);
  return [o](Call& call) { return eval(*o, call); };
}

}  // namespace carat
