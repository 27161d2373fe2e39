#include "app/chat_setup.h"

#include <unistd.h>

#include "app/chat_completion.h"
#include "app/history.h"
#include "app/memory_need.h"
#include "app/terminal.h"
#include "app/text_input.h"

namespace carat {
namespace {

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

}  // namespace

std::size_t token_limit(std::int64_t tokens, std::size_t context) {
  return tokens < 0 ? context : static_cast<std::size_t>(tokens);
}

ChatFrame chat_frame(const ChatOptions& o, const OpenModel& model) {
  return o.raw ? *ChatFrame::by_name("raw") : o.frame.choose(model);
}

ConversationOptions conversation_options(const ChatOptions& o, const OpenModel& model, const ChatFrame& frame,
                                         const SamplingOptions& sampling, std::size_t context) {
  ConversationOptions options;
  options.session = {context, o.context.step(), o.context.cache};
  check_memory(model.files.file, model.model.config, options.session);
  options.lookup = o.lookup;
  options.sampling = sampling;
  options.overflow = o.overflow;
  options.render = o.render.options(frame);
  options.thought_budget = o.render.budget();
  options.reply.max_tokens = token_limit(o.tokens, context);
  options.reply.end_tokens = frame.stops(*model.tokenizer);
  options.reply.stop_texts = o.stops;
  options.reply.logprobs = o.logprobs;
  options.reply.begins_text = frame.name() != "raw";
  const bool is_seen = is_terminal(STDERR_FILENO) && !o.log.quiet && o.output.progress != "off";
  const bool is_told = o.output.format == OutputFormat::text ? is_seen : o.output.shows_progress();
  options.reply.progress_step = is_told ? o.context.step() : 0;
  return options;
}

ChatSinkOptions sink_options(const ChatOptions& o) {
  using Shown = TextSinkOptions::Thoughts;
  const Shown thoughts = o.output.thoughts.shown();
  const bool sees_answers = is_terminal(STDOUT_FILENO), sees_notes = is_terminal(STDERR_FILENO);
  ChatSinkOptions options;
  options.text.final_newline = o.output.newline;
  options.text.shows_controls = sees_answers;
  options.text.stats = o.output.stats.value_or(false) && !o.log.quiet;
  options.text.thoughts = thoughts;
  options.text.dims_thoughts = o.output.thoughts.dims();
  options.answers_on_screen = sees_answers;
  options.thoughts_on_screen = thoughts == Shown::on_stderr ? sees_notes : thoughts == Shown::on_stdout && sees_answers;
  options.status = sees_notes && !o.log.quiet && o.output.progress != "off" && !terminal_is_dumb();
  return options;
}

LineEditorOptions editor_options(const ChatOptions& o, int interrupt, int redraw) {
  const bool on_stderr = !is_terminal(STDOUT_FILENO);
  LineEditorOptions options;
  options.interrupt = interrupt;
  if (!stdin_is_terminal()) return options;
  options.prompt = ">>> ";
  options.coloured = shows_colour(on_stderr ? STDERR_FILENO : STDOUT_FILENO, o.output.thoughts.color);
  options.on_stderr = on_stderr;
  options.redraw = redraw;
  if (keeps_history() && !state_folder().empty()) options.history = state_folder() / "history";
  options.completer = complete_chat_line;
  return options;
}

}  // namespace carat
