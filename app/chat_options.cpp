#include "app/chat_options.h"

#include <limits>

#include "app/chat.h"
#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/log.h"
#include "app/run_options.h"
#include "app/stopwatch.h"
#include "app/text_input.h"

namespace carat {
namespace {

int chat(const ChatOptions& o, Call& call) {
  set_log_colour(o.output.thoughts.color);
  o.log.apply();
  o.check();
  const std::string path = o.model.take_path(call.words);
  refuse_words(call, "the chat asks for what to say");
  if (!stdin_is_terminal() && o.input_format.empty()) {
    throw BadUsage("chat needs a terminal to read from",
                   "for one answer use 'carat run'; --input-format has the lines of standard input answered");
  }
  const Stopwatch loading;
  const BackendOptions backend = o.backend.options();
  const OpenModel model =
      open_model(open_files(path, o.model.tokenizer, o.load.loading()), o.backend, backend, o.context);
  const auto second = open_second(o.lookup, model, backend, o.load.loading());
  return Chat(o, model, {backend.threads, loading.ms(), second.get()}, call.interrupt).talk();
}

}  // namespace

void ChatOptions::check() const {
  (void)constraint.automaton();  // what is wrong with it is said before the model is opened
  check_raw(raw, frame, render, messages);
  check_shown(output, echo, logprobs);
  overflow.check(lookup);
  session.check();
  const int begun = int{continues} + int{!session.file.empty()} + int{!messages.empty()};
  if (begun > 1) throw BadUsage("--continue, --session and --messages: one of them");
  if (constraint.given() && render.wants_thoughts()) throw BadUsage("a constraint holds an answer without thoughts");
  if (prompt.names_stdin() || messages == "-") throw BadUsage("the chat reads standard input itself: '-' is no file");
}

void ChatOptions::add_to(CLI::App& app) {
  model.add_to(app);
  prompt.add_given_to(app, "what is asked first");
  add_messages(app, messages);
  frame.add_to(app);
  render.add_to(app);
  add_raw(app, raw);
  add_integer(app, "-n,--predict,--max-tokens,--n-predict,--max-generated-tokens", tokens, -1,
              std::numeric_limits<std::int32_t>::max(), "tokens of an answer at most; -1: no limit (default)");
  context.add_to(app);
  lookup.add_to(app);
  overflow.add_to(app, "in a full context: drop-turns (default), shift, stop, error");
  sampling.add_to(app);
  add_stop_texts(app, stops);
  add_logprobs(app, logprobs);
  constraint.add_to(app);
  session.add_to(app);
  add_switch(app, "-C,--continue", continues, "go on with the last chat");
  load.add_to(app);
  backend.add_to(app);
  output.add_to(app, "off");
  add_echo(app, echo);
  add_text(app, "--input-format", input_format, "FORMAT",
           "of standard input that is no terminal: text (a line is what would be typed) or jsonl (a message a line)")
      ->check(one_of({"text", "jsonl"}))
      ->group(kMore);
  timeout.add_to(app, "how long an answer may take: 30, 500ms, 2m, 1h [CARAT_TIMEOUT]")
      ->envname("CARAT_TIMEOUT")
      ->group(kMore);
  log.add_to(app);
}

Command add_chat(CLI::App& app) {
  const auto o = std::make_shared<ChatOptions>();
  o->add_to(app);
  return [o](Call& call) { return chat(*o, call); };
}

}  // namespace carat
