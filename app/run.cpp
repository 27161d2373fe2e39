// carat run: one prompt, one answer.
#include <algorithm>
#include <limits>

#include "app/commands.h"
#include "app/constraint_flags.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "app/log.h"
#include "app/model_facts.h"
#include "app/options.h"
#include "app/output_flags.h"
#include "app/prompt.h"
#include "app/reply.h"
#include "app/request.h"
#include "app/sampling_flags.h"

namespace carat {
namespace {

constexpr std::int64_t kDefaultTokens = 2048;  // a model that does not stop must not run for hours

struct RunOptions {
  ModelFlags model;
  PromptFlags prompt;
  FrameFlags frame;
  bool raw = false;
  std::optional<std::int64_t> tokens;  // -1: as many as the context has room for
  ContextFlags context;
  SamplingFlags sampling;
  ConstraintFlags constraint;
  std::vector<std::string> stops;
  BackendFlags backend;
  OutputFlags output;
  LogFlags log;
};

// The prompt's tokens: the turns of `frame`, or just the text.
std::vector<TokenId> make_prompt(const RunOptions& o, const Tokenizer& tokenizer, const ChatFrame& frame,
                                 const std::string& text) {
  std::vector<Message> messages;
  if (std::string system = o.frame.system_text(); !system.empty()) {
    messages.push_back({Role::system, std::move(system)});
  }
  messages.push_back({Role::user, text});
  // A constraint is for the answer: thoughts could not be told from it.
  return frame.render(tokenizer, messages, {.think = !o.constraint.given()});
}

void check_fits(std::size_t tokens, std::size_t context, const ModelConfig& config) {
  if (tokens == 0) throw BadUsage("the prompt is empty, and this model begins no text by itself");
  if (tokens <= context) return;
  throw PromptTooLong("the prompt has " + std::to_string(tokens) + " tokens, the context " + std::to_string(context),
                      tokens < config.context ? "-c " + std::to_string(config.context)
                                              : "this model reads no more; shorten the prompt");
}

void warn(Request& request, Warning warning) {
  log_note(warning.message);
  request.on(std::move(warning));
}

void note_end(const RunOptions& o, FinishReason reason, std::size_t context, Request& request) {
  if (reason == FinishReason::length && !o.tokens) {
    warn(request,
         {"length", "stopped after " + std::to_string(kDefaultTokens) + " tokens (-n sets another limit, -1 none)"});
  } else if (reason == FinishReason::context) {
    warn(request,
         {"context", "stopped: the context of " + std::to_string(context) + " tokens is full (-c sets another)"});
  }
}

int answer(const RunOptions& o, Call& call, Request& request) {
  if (o.raw && !o.frame.empty()) throw BadUsage("--raw knows no turns: no --template and no --system go with it");
  const std::unique_ptr<Automaton> automaton = o.constraint.automaton();
  const std::string path = o.model.take_path(call.words);
  request.enter(Phase::input);
  const std::string text = o.prompt.text(call.words);
  request.enter(Phase::load);
  const Stopwatch loading;
  const BackendOptions backend = o.backend.options();
  const OpenModel model = open_model(open_files(path, o.model.tokenizer), backend);
  const double load_ms = loading.ms();
  request.enter(Phase::tokenize);
  const ChatFrame frame = o.raw ? *ChatFrame::by_name("raw") : o.frame.choose(model);
  const std::vector<TokenId> prompt = make_prompt(o, *model.tokenizer, frame, text);

  const std::size_t context = o.context.positions(model.model.config);
  check_fits(prompt.size(), context, model.model.config);
  const std::int64_t tokens = o.tokens.value_or(kDefaultTokens);
  const std::size_t max_tokens = tokens < 0 ? context : static_cast<std::size_t>(tokens);
  Session session(model.model, {std::min(context, prompt.size() + max_tokens), o.context.batch});
  Sampler sampler(sampling_options(o.sampling, model, context), model.model.config.vocabulary);
  for (const TokenId id : prompt) sampler.note(id);

  Interrupt::Watch watch(call.interrupt);
  const ModelFacts facts = model_facts(model.files.file, model.model.config.context);
  request.on(Start{.model = facts,
                   .context = context,
                   .threads = backend.threads,
                   .batch = o.context.batch,
                   .device = "cpu",
                   .isa = std::string(model.model.backend->name()),
                   .template_name = std::string(frame.name()),
                   .sampling = sampler.options()});
  Result expected;
  expected.usage.prompt_tokens = prompt.size();
  expected.timings.load_ms = load_ms;
  expected.memory = {weight_bytes(model.files.file), session.cache_bytes(), 0};
  expected.seed = sampler.options().seed;
  request.expect(expected);
  request.enter(Phase::prefill);

  ReplyOptions options;
  options.max_tokens = max_tokens;
  options.end_tokens = frame.stops(*model.tokenizer);
  options.stop_texts = o.stops;
  options.begins_text = frame.name() != "raw" || text.empty();
  options.progress_step = o.output.shows_progress() ? o.context.batch : 0;
  const auto constraint = automaton == nullptr
                              ? nullptr
                              : std::make_unique<AnswerConstraint>(*automaton, *model.tokenizer, options.end_tokens);
  if (constraint != nullptr) constraint->begin(options.begins_text);
  options.filter = constraint.get();
  Reply reply = carat::reply(session, sampler, prompt, *model.tokenizer, options, request, watch.token());
  const Ending ending = watch.ending();
  if (!ending) note_end(o, reply.result.reason, context, request);
  if (constraint != nullptr) {
    reply.result.constraint = {std::string(o.constraint.kind()), constraint->satisfied()};
    if (!constraint->satisfied() && !ending)
      warn(request, {"constraint_not_met", "the answer ends before the constraint is met"});
  }
  return request.finish(std::move(reply.result), ending);
}

int run(const RunOptions& o, Call& call) {
  o.log.apply();
  Output output;
  const auto sink = o.output.make_sink(output, o.log.quiet);
  Request request(*sink, call.start);
  const Interrupt::LastWords last_words(
      call.interrupt, [&request](const Ending& ending) { request.abandon(ending); },
      [&request] { say(request.status()); });
  call.interrupt.watch_output();
  try {
    return answer(o, call, request);
  } catch (const OutputClosed&) {
    throw;
  } catch (...) {  // told to the sink here, to the user where all failures end
    request.on(describe(std::current_exception(), request.phase()));
    throw;
  }
}

}  // namespace

Command add_run(CLI::App& app) {
  const auto o = std::make_shared<RunOptions>();
  o->model.add_to(app);
  o->prompt.add_to(app);
  o->frame.add_to(app);
  add_switch(app, "--raw", o->raw, "go on with the prompt as it is, without turns");
  add_integer(app, "-n,--predict,--max-tokens,--n-predict,--max-generated-tokens", o->tokens, -1,
              std::numeric_limits<std::int32_t>::max(), "tokens to write at most; -1: no limit (default: 2048)");
  o->context.add_to(app);
  o->sampling.add_to(app);
  o->constraint.add_to(app);
  add_stop_texts(app, o->stops);
  o->backend.add_to(app);
  o->output.add_to(app);
  o->log.add_to(app);
  return [o](Call& call) { return run(*o, call); };
}

}  // namespace carat
