#include "app/chat_options.h"

#include <limits>

#include "app/chat.h"
#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/text_input.h"

namespace carat {
namespace {

int chat(const ChatOptions& o, Call& call) {
  o.log.apply();
  const std::string path = o.model.take_path(call.words);
  if (!call.words.empty())
    throw BadUsage("'" + call.words.front() + "' is one argument too many", "the chat asks for what to say");
  if (o.continues && !o.session.file.empty()) throw BadUsage("--continue and --session: one of them");
  o.overflow.check(o.lookup);
  if (!stdin_is_terminal() && o.input_format.empty()) {
    throw BadUsage("chat needs a terminal to read from",
                   "for one answer use 'carat run'; --input-format has the lines of standard input answered");
  }
  const OpenModel model = open_model(open_files(path, o.model.tokenizer), o.backend, o.context);
  return Chat(o, model, call.interrupt).talk();
}

}  // namespace

void ChatOptions::add_to(CLI::App& app) {
  model.add_to(app);
  frame.add_to(app);
  render.add_to(app);
  add_integer(app, "-n,--predict,--max-tokens,--n-predict,--max-generated-tokens", tokens, -1,
              std::numeric_limits<std::int32_t>::max(), "tokens of an answer at most; -1: no limit (default)");
  context.add_to(app);
  lookup.add_to(app);
  overflow.add_to(app, "in a full context: drop-turns (default), shift, stop, error");
  sampling.add_to(app);
  add_stop_texts(app, stops);
  session.add_to(app);
  add_switch(app, "-C,--continue", continues, "go on with the last chat");
  backend.add_to(app);
  thoughts.add_to(app);
  add_text(app, "--input-format", input_format, "FORMAT",
           "of standard input that is no terminal: text (a line is what would be typed) or jsonl (a message a line)")
      ->check(one_of({"text", "jsonl"}))
      ->group(kMore);
  timeout.add_to(app, "how long an answer may take: 30, 500ms, 2m, 1h [CARAT_TIMEOUT]")
      ->envname("CARAT_TIMEOUT")
      ->group(kMore);
  add_switch(app, "--stats", stats, "say how fast each answer was")->group(kMore);
  log.add_to(app);
}

Command add_chat(CLI::App& app) {
  const auto o = std::make_shared<ChatOptions>();
  o->add_to(app);
  return [o](Call& call) { return chat(*o, call); };
}

}  // namespace carat
