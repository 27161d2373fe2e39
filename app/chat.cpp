#include "app/chat.h"

#include <unistd.h>

#include <csignal>

#include "app/chat_commands.h"
#include "app/chat_reports.h"
#include "app/chat_setup.h"
#include "app/external_editor.h"
#include "app/failure.h"
#include "app/gpu_choice.h"
#include "app/history.h"
#include "app/log.h"
#include "app/messages.h"
#include "app/model_facts.h"
#include "app/nearest.h"
#include "app/output.h"
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

// The flags with the seed that was drawn, so that a change of another setting does not draw a new one.
SamplingFlags with_seed(SamplingFlags flags, std::uint64_t seed) {
  flags.seed = static_cast<std::int64_t>(seed);
  flags.deterministic = false;
  return flags;
}

// What becomes of a question that is not asked.
ErrorEvent too_long(std::size_t tokens, std::size_t context) {
  return {"prompt_too_long",
          "this does not fit: the conversation would have " + std::to_string(tokens) + " tokens, the context " +
              std::to_string(context),
          "/clear begins a new one; -c sets a larger context", Phase::tokenize, kExitPromptTooLong};
}
ErrorEvent unsaid() {
  return {"bad_usage", "nothing is said, and this model begins no text by itself", "", Phase::tokenize, kExitUsage};
}

}  // namespace

Chat::Chat(const ChatOptions& options, const OpenModel& model, const Loaded& loaded, Interrupt& interrupt)
    : Chat(options, model, loaded, interrupt, chat_frame(options, model),
           options.context.positions(model.model.config)) {}

Chat::Chat(const ChatOptions& options, const OpenModel& model, const Loaded& loaded, Interrupt& interrupt,
           const ChatFrame& frame, std::size_t context)
    : model_(model),
      interrupt_(interrupt),
      sampling_(options.sampling),
      max_tokens_(options.tokens),
      conversation_(conversation_options(options, model, loaded.second, frame,
                                         sampling_options(sampling_, model, context), context),
                    model, frame),
      watch_(interrupt),
      job_control_(
          interrupt, [this] { modes_.leave(); }, [this] { modes_.come_back(); }),
      sink_(sink_options(options)),
      events_(options.output, model_facts(model.files.file, model.model.config.context)),
      start_{model_facts(model.files.file, model.model.config.context),
             context,
             loaded.threads,
             options.context.step(),
             device_of(model.model),
             std::string(model.model.backend->name()),
             model.model.gpu_layers,
             std::string(frame.name()),
             {}},
      load_ms_(loaded.ms),
      echo_(options.echo),
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
  if (!options.log.quiet && reads_terminal_) say("[" + printable(start_.model.name) + "; /help lists the commands]");
  const std::filesystem::path& from = options.continues ? last_chat_ : session_;
  if (!from.empty() && is_there(from)) {
    resume(from, options.continues ? "the last chat" : from.string());
    if (!options.continues) conversation_.load_cache(cache_path(session_));
  } else if (options.continues) {
    log_note("there is no last chat to go on with: this is a new one");
  }
  if (!options.messages.empty()) {
    conversation_.load(parse_transcript(read_text(options.messages), options.messages));
    const std::vector<Turn>& turns = conversation_.transcript().turns;
    Turn open;
    if (!turns.empty() && !turns.back().answer && conversation_.undo(&open)) openings_.push_back(open.question);
  }
  const std::string system = options.frame.system_text();
  if (!system.empty()) conversation_.set_system(system);
  if (auto question = options.prompt.given()) openings_.push_back(std::move(*question));
  if (options.constraint.given()) conversation_.set_constraint(options.constraint);
}

int Chat::talk() {
  const int code = take_lines();
  if (events_ && reads_json_) events_.tell_end();
  keep();
  if (!session_.empty() && keeps_session_) keep_cache();
  return code;
}

int Chat::take_lines() {
  for (const std::string& question : openings_) {
    if (reads_terminal_) say("[asked: " + first_line(question) + "]");
    if (const auto done = ask(question)) return *done;
  }
  for (std::optional<int> done; !done;) {
    std::string line = std::exchange(next_, {});
    switch (editor_.read(line)) {
      case LineEditor::Event::end:
        return has_failed_ && !reads_terminal_ ? kExitBatch : kExitDone;
      case LineEditor::Event::cancelled:
        done = take_interrupt();
        break;
      case LineEditor::Event::interrupted: {
        const Ending ending = watch_.ending();
        if (ending.signal != SIGINT || !reads_terminal_) return ending.exit_code();
        watch_.renew(ending);
        done = take_interrupt();
        break;
      }
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
std::optional<int> Chat::take_message(const std::string& line) {
  if (line.find_first_not_of(" \t\r") == std::string::npos) return std::nullopt;
  ++lines_;
  std::string question;
  try {
    question = parse_chat_message(line, "message " + std::to_string(lines_));
  } catch (const BadUsage&) {
    if (events_) events_.begin();
    refuse(describe(std::current_exception(), Phase::input));
    return std::nullopt;
  }
  return ask(question);
}

// The same of a question, which a program may have asked.
void Chat::refuse(ErrorEvent error) {
  fail(error.message, error.hint);
  if (!events_) return;
  if (lines_ > 0) error.line = lines_;
  events_.refuse(error);
}

// What is said of a line that nothing comes of.
void Chat::fail(const std::string& message, const std::string& hint) {
  log_error(message, hint);
  has_failed_ = true;
}

std::optional<int> Chat::obey(const std::string& line) try {
  const std::size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const ChatCommand* const command = find_chat_command(line.substr(0, end));
  if (command == nullptr && line.starts_with("/image")) {
    throw BadUsage("/image: models that see are not built in; nothing was sent");
  }
  if (command == nullptr) {
    std::vector<std::string> names;
    for (const ChatCommand& known : chat_commands()) names.emplace_back(known.name);
    const std::string near = suggestion(line.substr(0, end), names);
    throw BadUsage("'" + line.substr(0, end) + "' is no command; nothing was sent",
                   (near.empty() ? "/help lists the commands." : near) + " // begins a text with /");
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
} catch (const Error& e) {
  fail(e.what());
  return std::nullopt;
}

// Whatever ends a request is an event.
std::optional<int> Chat::ask(const std::string& question) {
  Sink& sink = events_ ? static_cast<Sink&>(events_.begin()) : sink_;
  Request request(sink, Stopwatch());
  try {
    return ask(question, request);
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception&) {
    interrupt_.set_alarm(std::nullopt);
    if (events_) {
      request.fail(describe(std::current_exception(), request.phase()));
      events_.note_failure();
    }
    throw;
  }
}

std::optional<int> Chat::ask(const std::string& question, Request& request) {
  const auto asked = Clock::now();
  const Conversation::Plan plan = conversation_.plan(question);
  if (plan.ids.empty() && !events_) return std::nullopt;  // nothing said, to a model that begins no text by itself
  if (plan.ids.empty() || !plan.fits) {
    refuse(plan.ids.empty() ? unsaid() : too_long(plan.ids.size(), conversation_.context()));
    return std::nullopt;
  }
  sink_.expect(plan.ids.size(), conversation_.context());
  const QuietKeyboard keyboard(editor_.can_prefill());
  const Interrupt::LastWords last_words(
      interrupt_,
      [&](const Ending& ending) {
        keyboard.restore();
        // Of a fault, what was said ends its line.
        if (events_ || ending.kind == Ending::Kind::fault) request.abandon(ending);
      },
      [&request] { return request.status(); });
  if (timeout_.count() > 0) interrupt_.set_alarm(asked + timeout_);
  tell_start(plan, request);
  Reply reply = conversation_.answer(plan, request, watch_.token());
  interrupt_.set_alarm(std::nullopt);
  return end_answer(plan, std::move(reply), request);
}

void Chat::tell_start(const Conversation::Plan& plan, Request& request) {
  start_.sampling = conversation_.sampling();
  request.on(start_);
  tell_forgotten(plan, request);
  if (echo_) print(::isatty(STDOUT_FILENO) == 1 ? clean_text(conversation_.text(plan)) : conversation_.text(plan));
  Result expected;
  expected.usage.prompt_tokens = plan.ids.size();
  expected.timings.load_ms = load_ms_;
  expected.memory = {weight_bytes(model_.files.file), conversation_.cache_bytes(), 0};
  expected.seed = start_.sampling.seed;
  request.expect(expected);
  request.enter(Phase::prefill);
}

std::optional<int> Chat::end_answer(const Conversation::Plan& plan, Reply reply, Request& request) {
  const Ending ending = watch_.ending();
  const bool is_late = ending.kind == Ending::Kind::alarm;
  watch_.renew(ending);
  if (events_) {
    const int code = request.finish(reply.result, is_late ? Ending{Ending::Kind::timeout} : ending);
    if (code != kExitDone) events_.note_failure();
    has_failed_ |= code != kExitDone;
  } else if (reply.read) {
    request.on(reply.result);
  }
  if (reply.read) {
    if (is_late && reply.result.reason == FinishReason::interrupted) reply.result.reason = FinishReason::timeout;
    const bool is_unmet = reply.result.constraint && !reply.result.constraint->satisfied;
    has_failed_ |= is_unmet || reply.result.reason == FinishReason::timeout;
    last_ = std::move(reply.result);
    tell_reason(*last_);
    tell_fullness();
    keep();
  } else {
    if (!events_) sink_.on(ErrorEvent{});  // its line goes
    say(is_late ? "[the time is up: nothing was said]" : "[interrupted: nothing was said]");
    if (reads_terminal_) next_ = plan.question;
    has_failed_ |= is_late;
  }
  const bool goes_on = !ending || is_late || (ending.signal == SIGINT && reads_terminal_);
  return goes_on ? std::nullopt : std::optional(ending.exit_code());
}

void Chat::tell_forgotten(const Conversation::Plan& plan, Request& request) const {
  const auto tell = [&request](const Warning& warning) {
    say("[" + warning.message + "]");
    request.on(warning);
  };
  const std::size_t turns = plan.first - conversation_.first();
  if (turns > 0) tell(forgotten_turns(turns));
  if (plan.cut > 0) tell({"context", "the context is full: " + std::to_string(plan.cut) + " tokens are forgotten"});
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
  if (has_external_editor() && edit_externally(text)) {
    check_text(text, "the editor's text");
    return ask(text);
  }
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
