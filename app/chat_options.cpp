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
  if (o.continues && !o.session.empty()) throw BadUsage("--continue and --session: one of them");
  if (o.lookup.is_asked_for() && o.overflow == "shift") throw BadUsage("--lookup: not with --overflow shift");
  if (!stdin_is_terminal()) throw BadUsage("chat needs a terminal to read from", "for one answer use 'carat run'");
  const OpenModel model = open_model(open_files(path, o.model.tokenizer), o.backend.options());
  return Chat(o, model, call.interrupt).talk();
}

}  // namespace

void ChatOptions::add_to(CLI::App& app) {
  model.add_to(app);
  frame.add_to(app);
  add_integer(app, "-n,--predict,--max-tokens,--n-predict,--max-generated-tokens", tokens, -1,
              std::numeric_limits<std::int32_t>::max(), "tokens of an answer at most; -1: no limit (default)");
  context.add_to(app);
  lookup.add_to(app);
  add_text(app, "--overflow", overflow, "WHAT", "in a full context: drop-turns (default), shift, stop, error")
      ->check(one_of({"drop-turns", "shift", "stop", "error"}));
  add_integer(app, "--keep", keep, 0, std::numeric_limits<std::int32_t>::max(),
              "tokens at the beginning that --overflow shift keeps")
      ->group(kMore);
  sampling.add_to(app);
  add_stop_texts(app, stops);
  add_text(app, "--session,--prompt-cache", session, "FILE", "go on with the chat in a file, and keep it there");
  add_switch(app, "--session-ro,--prompt-cache-ro", read_only, "leave the file of --session as it is")->group(kMore);
  add_switch(app, "-C,--continue", continues, "go on with the last chat");
  backend.add_to(app);
  add_text(app, "--think-output", think_output, "WHERE",
           "where a model's thoughts go: stderr, stdout or none (default: stderr if a terminal)")
      ->check(one_of({"stderr", "stdout", "none", "auto"}))
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
