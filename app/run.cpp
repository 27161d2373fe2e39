// carat run: one prompt, one answer.
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "app/log.h"
#include "app/options.h"
#include "app/prompt.h"
#include "app/reply.h"
#include "app/sampling_flags.h"
#include "app/text_sink.h"

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
  LookupFlags lookup;
  std::vector<std::string> stops;
  BackendFlags backend;
  bool newline = true;
  bool stats = isatty(STDERR_FILENO) == 1;
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
  return frame.render(tokenizer, messages);
}

void check_fits(std::size_t tokens, std::size_t context, const ModelConfig& config) {
  if (tokens == 0) throw BadUsage("the prompt is empty, and this model begins no text by itself");
  if (tokens <= context) return;
  throw PromptTooLong("the prompt has " + std::to_string(tokens) + " tokens, the context " + std::to_string(context),
                      tokens < config.context ? "-c " + std::to_string(config.context)
                                              : "this model reads no more; shorten the prompt");
}

void note_end(const RunOptions& o, FinishReason reason, std::size_t context) {
  if (reason == FinishReason::length && !o.tokens) {
    log_note("stopped after " + std::to_string(kDefaultTokens) + " tokens (-n sets another limit, -1 none)");
  } else if (reason == FinishReason::context) {
    log_note("stopped: the context of " + std::to_string(context) + " tokens is full (-c sets another)");
  }
}

int run(const RunOptions& o, Call& call) {
  o.log.apply();
  if (o.raw && !o.frame.empty()) throw BadUsage("--raw knows no turns: no --template and no --system go with it");
  const std::string path = o.model.take_path(call.words);
  const std::string text = o.prompt.text(call.words);
  const OpenModel model = open_model(open_files(path, o.model.tokenizer), o.backend.options());
  const ChatFrame frame = o.raw ? *ChatFrame::by_name("raw") : o.frame.choose(model);
  const std::vector<TokenId> prompt = make_prompt(o, *model.tokenizer, frame, text);

  const std::size_t context = o.context.positions(model.model.config);
  check_fits(prompt.size(), context, model.model.config);
  const std::int64_t tokens = o.tokens.value_or(kDefaultTokens);
  const std::size_t max_tokens = tokens < 0 ? context : static_cast<std::size_t>(tokens);
  Session session(model.model, {std::min(context, prompt.size() + max_tokens), o.context.batch, o.context.cache});
  Sampler sampler(sampling_options(o.sampling, model, context), model.model.config.vocabulary);
  for (const TokenId id : prompt) sampler.note(id);
  std::optional<Lookup> lookup = o.lookup.make(session.context());
  if (lookup) std::ranges::for_each(prompt, [&](TokenId id) { lookup->note(id); });

  Interrupt::Watch watch(call.interrupt);
  TextSink sink({.final_newline = o.newline, .stats = o.stats && !o.log.quiet, .seed = sampler.options().seed});
  const auto logits = read_prompt(session, prompt, sink, watch.token());
  if (!logits.empty()) {
    const bool begins_text = frame.name() != "raw" || text.empty();
    const ReplyOptions options = {max_tokens, frame.stops(*model.tokenizer), o.stops, begins_text,
                                  lookup ? &*lookup : nullptr};
    const Reply reply = write_reply(session, sampler, logits, *model.tokenizer, options, sink, watch.token());
    note_end(o, reply.reason, context);
  }
  return watch.signal() == 0 ? kExitDone : kExitSignal + watch.signal();
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
  o->lookup.add_to(app);
  add_stop_texts(app, o->stops);
  o->backend.add_to(app);
  add_switch(app, "--newline", o->newline, "end the answer with a line feed (default: on)")->group(kMore);
  add_switch(app, "--stats", o->stats, "say how fast it was (default: on a terminal)")->group(kMore);
  o->log.add_to(app);
  return [o](Call& call) { return run(*o, call); };
}

}  // namespace carat
