#include "app/chat.h"

#include <unistd.h>

#include <csignal>

#include "app/chat_commands.h"
#include "app/chat_completion.h"
#include "app/chat_reports.h"
#include "app/external_editor.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/history.h"
#include "app/log.h"
#include "app/memory_need.h"
#include "app/messages.h"
#include "app/model_facts.h"
#include "app/nearest.h"
#include "app/request.h"
#include "app/session_cache.h"
#include "app/terminal.h"
#include "app/text_input.h"
#include "app/typed_text.h"
#include "app/user_path.h"
#include "engine/error.h"
#include "engine/file/quote.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

constexpr auto kSecondInterrupt = std::chrono::seconds(2);  // after the first, it means to leave
constexpr std::size_t kFullPercent = 80;                    // from which on it is said that the context gets full
constexpr const char* kLastChat = "last-chat.jsonl";

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

std::size_t token_limit(std::int64_t tokens, std::size_t context) {
  return tokens < 0 ? context : static_cast<std::size_t>(tokens);
}

ConversationOptions conversation_options(const ChatOptions& o, const OpenModel& model, const ChatFrame& frame,
                                         const SamplingOptions& sampling, std::size_t context) {
  ConversationOptions options;
  options.session = {context, o.context.batch, o.context.cache};
  check_memory(model.files.file, model.model.config, options.session);
  options.lookup = o.lookup;
  options.sampling = sampling;
  options.overflow = o.overflow;
  options.render = o.render.options(frame);
  options.thought_budget = o.render.budget();
  options.reply.max_tokens = token_limit(o.tokens, context);
  options.reply.end_tokens = frame.stops(*model.tokenizer);
  options.reply.stop_texts = o.stops;
  options.reply.begins_text = frame.name() != "raw";
  options.reply.progress_step = is_terminal(STDERR_FILENO) && !o.log.quiet ? o.context.batch : 0;
  return options;
}

ChatSinkOptions sink_options(const ChatOptions& o) {
  using Shown = TextSinkOptions::Thoughts;
  const Shown thoughts = o.thoughts.shown();
  const bool sees_answers = is_terminal(STDOUT_FILENO), sees_notes = is_terminal(STDERR_FILENO);
  ChatSinkOptions options;
  options.text.shows_controls = sees_answers;
  options.text.stats = o.stats && !o.log.quiet;
  options.text.thoughts = thoughts;
  options.text.dims_thoughts = o.thoughts.dims();
  options.answers_on_screen = sees_answers;
  options.thoughts_on_screen = thoughts == Shown::on_stderr ? sees_notes : thoughts == Shown::on_stdout && sees_answers;
  options.status = sees_notes && !o.log.quiet && !terminal_is_dumb();
  return options;
}

LineEditorOptions editor_options(const ChatOptions& o, int interrupt, int redraw) {
  const bool on_stderr = !is_terminal(STDOUT_FILENO);
  LineEditorOptions options;
  options.interrupt = interrupt;
  if (!stdin_is_terminal()) return options;
  options.prompt = ">>> ";
  options.coloured = shows_colour(on_stderr ? STDERR_FILENO : STDOUT_FILENO, o.thoughts.color);
  options.on_stderr = on_stderr;
  options.redraw = redraw;
  if (keeps_history() && !state_folder().empty()) options.history = state_folder() / "history";
  options.completer = complete_chat_line;
  return options;
}

// The flags with the seed that was drawn, so that a change of another setting does not draw a new one.
SamplingFlags with_seed(SamplingFlags flags, std::uint64_t seed) {
  flags.seed = static_cast<std::int64_t>(seed);
  flags.deterministic = false;
  return flags;
}

}  // namespace

Chat::Chat(const ChatOptions& options, const OpenModel& model, Interrupt& interrupt)
    : Chat(options, model, interrupt, options.frame.choose(model), options.context.positions(model.model.config)) {}

Chat::Chat(const ChatOptions& options, const OpenModel& model, Interrupt& interrupt, const ChatFrame& frame,
           std::size_t context)
    : model_(model),
      interrupt_(interrupt),
      sampling_(options.sampling),
      max_tokens_(options.tokens),
      conversation_(conversation_options(options, model, frame, sampling_options(sampling_, model, context), context),
                    model, frame),
      watch_(interrupt),
      job_control_(
          interrupt, [this] { modes_.leave(); }, [this] { modes_.come_back(); }),
      sink_(sink_options(options)),
      editor_(editor_options(options, watch_.descriptor(), modes_.redraw())),
      session_(options.session.file),
      keeps_session_(!options.session.read_only),
      reads_terminal_(stdin_is_terminal()),
      reads_json_(!reads_terminal_ && options.input_format == "jsonl"),
      timeout_(options.timeout.timeout) {
  sampling_ = with_seed(sampling_, conversation_.sampling().seed);
  const bool is_persons = reads_terminal_ || options.continues;  // a program's is not what -C means
  if (is_persons && keeps_history() && !state_folder().empty()) last_chat_ = state_folder() / kLastChat;
  begin(options);
}

// With what was said before, if that is asked for.
void Chat::begin(const ChatOptions& options) {
  if (!options.log.quiet && reads_terminal_)
    say("[" + printable(model_facts(model_.files.file, model_.model.config.context).name) +
        "; /help lists the commands]");
  const std::filesystem::path& from = options.continues ? last_chat_ : session_;
  if (!from.empty() && is_there(from)) {
    resume(from, options.continues ? "the last chat" : from.string());
    if (!options.continues) conversation_.load_cache(cache_path(session_));
  } else if (options.continues) {
    log_note("there is no last chat to go on with: this is a new one");
  }
  const std::string system = options.frame.system_text();
  if (!system.empty()) conversation_.set_system(system);
}

int Chat::talk() {
  const int code = take_lines();
  keep();
  if (!session_.empty() && keeps_session_) keep_cache();
  return code;
}

int Chat::take_lines() {
  for (std::optional<int> done; !done;) {
    std::string line = std::exchange(next_, {});
    switch (editor_.read(line)) {
      case LineEditor::Event::end:
        return has_failed_ && !reads_terminal_ ? kExitBatch : kExitDone;
      case LineEditor::Event::cancelled:
        done = take_interrupt();
        break;
      case LineEditor::Event::interrupted:
        if (watch_.signal() != SIGINT || !reads_terminal_) return watch_.ending().exit_code();
        watch_.renew();
        done = take_interrupt();
        break;
      case LineEditor::Event::line:
        interrupted_.reset();
        done = reads_json_ ? take_message(line) : take_line(line);
        break;
    }
    if (done) return *done;
  }
  return kExitDone;
}

// One at the prompt, on an empty line.
std::optional<int> Chat::take_interrupt() {
  const auto now = Clock::now();
  if (interrupted_ && now - *interrupted_ < kSecondInterrupt) return kExitSignal + SIGINT;
  interrupted_ = now;
  say("(Ctrl-C again, Ctrl-D or /exit leaves)");
  return std::nullopt;
}

std::optional<int> Chat::take_line(const std::string& line) {
  const std::size_t valid = valid_utf8_prefix(line);
  if (valid < line.size() || line.find('\0') != std::string::npos) {
    fail("this line is not text: at byte " + std::to_string(std::min(valid, line.find('\0'))));
    return std::nullopt;
  }
  if (line.find_first_not_of(" \t\r\n") == std::string::npos) return std::nullopt;
  if ((line.starts_with('/') && !line.starts_with("//")) || line == "%q" || line == "%c") return obey(line);
  const std::string text = is_block(line) ? block_text(line) : line.starts_with("//") ? line.substr(1) : line;
  return ask(std::exchange(attached_, {}) + text);
}

// A text, or an object that has it as its "content" or "prompt".
std::optional<int> Chat::take_message(const std::string& line) try {
  if (line.find_first_not_of(" \t\r") == std::string::npos) return std::nullopt;
  ++lines_;
  return ask(parse_chat_message(line, "message " + std::to_string(lines_)));
} catch (const BadUsage& e) {
  fail(e.what(), e.hint());
  return std::nullopt;
}

// What is said of a line that nothing comes of.
void Chat::fail(const std::string& message, const std::string& hint) {
  log_error(message, hint);
  has_failed_ = true;
}

std::optional<int> Chat::obey(const std::string& line) try {
  const std::size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const ChatCommand* const command = find_chat_command(line.substr(0, end));
  if (command == nullptr) {
    std::vector<std::string> names;
    for (const ChatCommand& known : chat_commands()) names.emplace_back(known.name);
    const std::string near = suggestion(line.substr(0, end), names);
    throw BadUsage("'" + line.substr(0, end) + "' is no command; nothing was sent",
                   (near.empty() ? "/help lists the commands" : near) + "; // begins a text with /");
  }
  const std::size_t begin = std::min(line.find_first_not_of(" \t\n", end), line.size());
  const std::string argument = line.substr(begin, line.find_last_not_of(" \t\n") + 1 - begin);
  const bool takes_none = command->takes == ChatCommand::Takes::nothing;
  const bool needs_one = !takes_none && !command->arguments.starts_with('[');
  if ((takes_none && !argument.empty()) || (needs_one && argument.empty())) {
    throw BadUsage("usage: " + std::string(command->name) + (needs_one ? " " + std::string(command->arguments) : "") +
                   "; nothing was sent");
  }
  return command->run(*this, argument);
} catch (const Failure& e) {
  fail(e.what(), e.hint());
  return std::nullopt;
} catch (const CLI::ParseError& e) {
  fail(e.what());
  return std::nullopt;
} catch (const Error& e) {
  fail(e.what());
  return std::nullopt;
}

std::optional<int> Chat::ask(const std::string& question) {
  const auto asked = Clock::now();
  const Conversation::Plan plan = conversation_.plan(question);
  if (plan.ids.empty()) return std::nullopt;  // nothing said, to a model that begins no text by itself
  if (!plan.fits) {
    fail("this does not fit: the conversation would have " + std::to_string(plan.ids.size()) + " tokens, the context " +
             std::to_string(conversation_.context()),
         "/clear begins a new one; -c sets a larger context");
    return std::nullopt;
  }
  tell_forgotten(plan);
  sink_.expect(plan.ids.size(), conversation_.context());
  Request request(sink_, Stopwatch());
  const QuietKeyboard keyboard(editor_.can_prefill());
  const Interrupt::LastWords last_words(
      interrupt_,
      [&keyboard, &request](const Ending& ending) {
        keyboard.restore();
        if (ending.kind == Ending::Kind::fault) request.abandon(ending);  // what was said ends its line
      },
      [&request] { say(request.status()); });
  if (timeout_.count() > 0) interrupt_.set_alarm(asked + timeout_);
  Reply reply = conversation_.answer(plan, request, watch_.token());
  interrupt_.set_alarm(std::nullopt);
  return end_answer(plan, std::move(reply));
}

std::optional<int> Chat::end_answer(const Conversation::Plan& plan, Reply reply) {
  const Ending ending = watch_.ending();
  const bool is_late = ending.kind == Ending::Kind::alarm;
  watch_.renew();
  if (reply.read) {
    if (is_late && reply.result.reason == FinishReason::interrupted) reply.result.reason = FinishReason::timeout;
    has_failed_ |= reply.result.reason == FinishReason::timeout;
    last_ = std::move(reply.result);
    tell_reason(*last_);
    tell_fullness();
    keep();
  } else {
    sink_.on(ErrorEvent{});  // its line goes
    say(is_late ? "[the time is up: nothing was said]" : "[interrupted: nothing was said]");
    if (reads_terminal_) next_ = plan.question;
    has_failed_ |= is_late;
  }
  const bool goes_on = !ending || is_late || (ending.signal == SIGINT && reads_terminal_);
  return goes_on ? std::nullopt : std::optional(ending.exit_code());
}

void Chat::tell_forgotten(const Conversation::Plan& plan) const {
  const std::size_t turns = plan.first - conversation_.first();
  if (turns > 0) {
    say("[the context is full: the oldest " + (turns == 1 ? "turn is" : std::to_string(turns) + " turns are") +
        " forgotten]");
  }
  if (plan.cut > 0) say("[the context is full: " + std::to_string(plan.cut) + " tokens are forgotten]");
}

void Chat::tell_reason(const Result& result) const {
  if (result.reason == FinishReason::interrupted) say("[interrupted]");
  if (result.reason == FinishReason::timeout) say("[the time is up]");
  if (result.reason == FinishReason::length) {
    say("[stopped after " + std::to_string(result.usage.completion_tokens) + " tokens]");
  }
  if (result.reason == FinishReason::context) {
    say("[the context of " + std::to_string(conversation_.context()) +
        " tokens is full; /clear begins a new one, /forget makes room]");
  }
}

void Chat::tell_fullness() {
  const std::size_t percent = conversation_.ids().size() * 100 / conversation_.context();
  const bool is_full = percent >= kFullPercent;
  if (is_full && !was_told_full_) say("[the context is " + std::to_string(percent) + "% full; /context shows by what]");
  was_told_full_ = is_full;
}

std::optional<int> Chat::offer(std::string text) {
  if (editor_.can_prefill()) {
    next_ = std::move(text);
    return std::nullopt;
  }
  if (has_external_editor() && edit_externally(text)) return ask(text);
  say("[taken back; this terminal cannot edit it:]\n" + clean_text(text));
  return std::nullopt;
}

void Chat::set_sampling(const SamplingFlags& flags, const SamplingOptions& options) {
  sampling_ = with_seed(flags, options.seed);
  conversation_.set_sampling(options);
}

void Chat::set_max_tokens(std::int64_t tokens) {
  max_tokens_ = tokens;
  conversation_.set_max_tokens(token_limit(tokens, conversation_.context()));
}

void Chat::resume(const std::filesystem::path& file, const std::string& name) {
  Transcript transcript = parse_transcript(read_text(file), file);
  const std::vector<Turn>& turns = transcript.turns;
  say("[" + name + ": " + std::to_string(turns.size()) + (turns.size() == 1 ? " turn" : " turns") +
      (turns.empty() ? "" : ", the last: " + first_line(turns.back().question)) + "]");
  conversation_.load(std::move(transcript));
}

void Chat::save(const std::filesystem::path& file) const {
  if (is_there(file)) {
    try {
      (void)parse_transcript(read_text(file), file);
    } catch (const BadUsage&) {
      throw BadUsage(file.string() + ": is there already and is no conversation; nothing was saved");
    }
  }
  write_private(file, to_jsonl(conversation_.transcript()));
}

// Only at the end: what an older one has of this conversation is as good then as it was.
void Chat::keep_cache() {
  try {
    conversation_.save_cache(cache_path(session_));
  } catch (const Error& e) {
    log_note(e.what());
  }
}

// After each answer too, so that nothing is lost however the chat ends.
void Chat::keep() {
  const auto keep_in = [this](const std::filesystem::path& file) {
    try {
      write_private(file, to_jsonl(conversation_.transcript()));
    } catch (const Error& e) {
      log_note(std::string(e.what()) + "; the chat is not kept there");
      return false;
    }
    return true;
  };
  if (!session_.empty() && keeps_session_) keeps_session_ = keep_in(session_);
  if (last_chat_.empty() || conversation_.transcript().turns.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(last_chat_.parent_path(), ignored);
  if (!keep_in(last_chat_)) last_chat_.clear();
}

}  // namespace carat
