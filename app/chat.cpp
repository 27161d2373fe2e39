// carat chat: a conversation, turn by turn.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <limits>
#include <optional>

#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "app/log.h"
#include "app/options.h"
#include "app/prompt.h"
#include "app/reply.h"
#include "app/sampling_flags.h"
#include "app/text_input.h"
#include "app/text_sink.h"
#include "tokenizer/utf8.h"

namespace carat {
namespace {

constexpr auto kSecondInterrupt = std::chrono::seconds(2);  // after the first, it means to leave
constexpr std::string_view kPrompt = ">>> ";
constexpr std::string_view kHelp =
    "/clear   forget the conversation, keep the system prompt\n"
    "/help    show this\n"
    "/exit    leave (also Ctrl-D)\n"
    "//TEXT   say \"/TEXT\" to the model\n"
    "Ctrl-C   stop an answer; twice at the prompt: leave";

struct ChatOptions {
  ModelFlags model;
  FrameFlags frame;
  std::int64_t tokens = -1;  // of an answer; -1: as many as there is room for
  ContextFlags context;
  SamplingFlags sampling;
  LookupFlags lookup;
  std::vector<std::string> stops;
  BackendFlags backend;
  bool stats = false;
  LogFlags log;
};

// What was said so far, as tokens. The session may lag behind: what it lacks is fed with the next turn.
class Conversation {
 public:
  Conversation(const ChatOptions& options, const OpenModel& model)
      : model_(model),
        frame_(options.frame.choose(model)),
        system_(options.frame.system_text()),
        session_(model.model,
                 {options.context.positions(model.model.config), options.context.batch, options.context.cache}),
        sampler_(sampling_options(options.sampling, model, session_.context()), model.model.config.vocabulary),
        lookup_(options.lookup.make(session_.context())),
        reply_{options.tokens < 0 ? session_.context() : static_cast<std::size_t>(options.tokens),
               frame_.stops(*model.tokenizer), options.stops, frame_.name() != "raw", lookup_ ? &*lookup_ : nullptr} {}

  void clear() {
    ids_.clear();
    session_.rewind(0);
    sampler_.forget();
    if (lookup_) lookup_->rewind(0);
  }

  std::uint64_t seed() const { return sampler_.options().seed; }

  // One turn. What the user said is forgotten again if the answer was interrupted before it began, or does not fit.
  void answer(const std::string& text, Sink& sink, const std::stop_token& stop);

 private:
  std::vector<TokenId> turn(const std::string& text) const;
  void forget_from(std::size_t size);

  const OpenModel& model_;
  ChatFrame frame_;
  std::string system_;
  Session session_;
  Sampler sampler_;
  std::optional<Lookup> lookup_;
  ReplyOptions reply_;
  std::vector<TokenId> ids_;
};

// The tokens that the user's turn adds.
std::vector<TokenId> Conversation::turn(const std::string& text) const {
  std::vector<Message> messages;
  if (!ids_.empty()) {
    messages.push_back({Role::user, text});
    return frame_.continuation(*model_.tokenizer, messages);
  }
  if (!system_.empty()) messages.push_back({Role::system, system_});
  messages.push_back({Role::user, text});
  return frame_.render(*model_.tokenizer, messages);
}

void Conversation::forget_from(std::size_t size) {
  ids_.resize(size);
  session_.rewind(std::min(size, session_.position()));
}

void Conversation::answer(const std::string& text, Sink& sink, const std::stop_token& stop) {
  const std::size_t before = ids_.size();
  const std::vector<TokenId> added = turn(text);
  ids_.insert(ids_.end(), added.begin(), added.end());
  if (ids_.size() > session_.context()) {
    log_error("this does not fit: the conversation would have " + std::to_string(ids_.size()) +
                  " tokens, the context " + std::to_string(session_.context()),
              "/clear begins a new one; -c sets a larger context");
    return forget_from(before);
  }
  if (ids_.size() == session_.position()) return;  // nothing said, to a model that begins no text by itself
  for (const TokenId id : added) sampler_.note(id);
  if (lookup_) {
    lookup_->rewind(before);  // the last token of an answer may have been noted, or not
    for (std::size_t i = lookup_->size(); i < ids_.size(); ++i) lookup_->note(ids_[i]);
  }
  const auto logits = read_prompt(session_, std::span(ids_).subspan(session_.position()), sink, stop);
  if (logits.empty()) {
    say("[interrupted: nothing was said]");
    return forget_from(before);
  }
  const Reply reply = write_reply(session_, sampler_, logits, *model_.tokenizer, reply_, sink, stop);
  ids_.insert(ids_.end(), reply.ids.begin(), reply.ids.end());
  if (reply.reason == FinishReason::interrupted) say("[interrupted]");
  if (reply.reason == FinishReason::length) say("[stopped after " + std::to_string(reply.ids.size()) + " tokens]");
  if (reply.reason == FinishReason::context) {
    say("[the context of " + std::to_string(session_.context()) + " tokens is full; /clear begins a new one]");
  }
}

// The lines that the user types, and what they come to. Members return the exit code once it is time to leave.
class Chat {
 public:
  Chat(const ChatOptions& options, const OpenModel& model, Interrupt& interrupt)
      : conversation_(options, model),
        watch_(interrupt),
        sink_({.shows_controls = on_terminal_,
               .stats = options.stats && !options.log.quiet,
               .seed = conversation_.seed()}) {}

  int talk();

 private:
  using Clock = std::chrono::steady_clock;

  void show_prompt() const;
  std::optional<int> take_line(const std::string& line);
  std::optional<int> obey(const std::string& command);
  std::optional<int> take_interrupt();
  std::optional<int> answer(const std::string& text);

  const bool on_terminal_ = isatty(STDOUT_FILENO) == 1;
  Conversation conversation_;
  Interrupt::Watch watch_;
  TextSink sink_;
  std::optional<Clock::time_point> interrupted_;  // at the prompt, just now
};

int Chat::talk() {
  LineInput input;
  for (std::optional<int> done;;) {
    show_prompt();
    std::string line;
    switch (input.next(line, watch_.descriptor())) {
      case LineInput::Event::end:
        say("");
        return kExitDone;
      case LineInput::Event::interrupted:
        done = take_interrupt();
        break;
      case LineInput::Event::line:
        interrupted_.reset();
        done = take_line(line);
        break;
    }
    if (done) return *done;
  }
}

// Beside what the user types; on standard error if standard output is kept for the answers.
void Chat::show_prompt() const {
  if (on_terminal_) {
    print(kPrompt);
  } else {
    say_inline(kPrompt);
  }
}

std::optional<int> Chat::take_line(const std::string& line) {
  const std::size_t valid = valid_utf8_prefix(line);
  if (valid < line.size() || line.find('\0') != std::string::npos) {
    log_error("this line is not text: at byte " + std::to_string(std::min(valid, line.find('\0'))));
    return std::nullopt;
  }
  if (line.find_first_not_of(" \t\r") == std::string::npos) return std::nullopt;
  if (line.starts_with("//")) return answer(line.substr(1));
  if (line.starts_with('/')) return obey(line);
  return answer(line);
}

std::optional<int> Chat::obey(const std::string& command) {
  if (command == "/exit" || command == "/quit" || command == "/bye") return kExitDone;
  if (command == "/clear") {
    conversation_.clear();
  } else if (command == "/help" || command == "/?") {
    say(kHelp);
  } else {
    log_error("'" + command + "' is no command; nothing was sent", "/help lists the commands; // begins a text with /");
  }
  return std::nullopt;
}

std::optional<int> Chat::take_interrupt() {
  if (watch_.signal() != SIGINT) return kExitSignal + watch_.signal();
  watch_.renew();
  const auto now = Clock::now();
  if (interrupted_ && now - *interrupted_ < kSecondInterrupt) return kExitSignal + SIGINT;
  interrupted_ = now;
  say("\n(Ctrl-C again, Ctrl-D or /exit leaves)");
  return std::nullopt;
}

std::optional<int> Chat::answer(const std::string& text) {
  conversation_.answer(text, sink_, watch_.token());
  const int signal = watch_.signal();
  watch_.renew();
  return signal == 0 || signal == SIGINT ? std::nullopt : std::optional(kExitSignal + signal);
}

int chat(const ChatOptions& o, Call& call) {
  o.log.apply();
  const std::string path = o.model.take_path(call.words);
  if (!call.words.empty())
    throw BadUsage("'" + call.words.front() + "' is one argument too many", "the chat asks for what to say");
  if (!stdin_is_terminal()) throw BadUsage("chat needs a terminal to read from", "for one answer use 'carat run'");
  const OpenModel model = open_model(open_files(path, o.model.tokenizer), o.backend.options());
  return Chat(o, model, call.interrupt).talk();
}

}  // namespace

Command add_chat(CLI::App& app) {
  const auto o = std::make_shared<ChatOptions>();
  o->model.add_to(app);
  o->frame.add_to(app);
  add_integer(app, "-n,--predict,--max-tokens,--n-predict,--max-generated-tokens", o->tokens, -1,
              std::numeric_limits<std::int32_t>::max(), "tokens of an answer at most; -1: no limit (default)");
  o->context.add_to(app);
  o->sampling.add_to(app);
  o->lookup.add_to(app);
  add_stop_texts(app, o->stops);
  o->backend.add_to(app);
  add_switch(app, "--stats", o->stats, "say how fast each answer was")->group(kMore);
  o->log.add_to(app);
  return [o](Call& call) { return chat(*o, call); };
}

}  // namespace carat
