// A chat at a terminal: lines come in, commands are obeyed, everything else is said to the model.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "app/chat_events.h"
#include "app/chat_options.h"
#include "app/chat_sink.h"
#include "app/conversation.h"
#include "app/interrupt.h"
#include "app/line_editor.h"
#include "app/open_model.h"
#include "app/request.h"
#include "app/terminal.h"

namespace carat {

// How the model was loaded.
struct Loaded {
  std::size_t threads = 0;
  double ms = 0;
  const SecondModel* second = nullptr;  // that drafts, if any
};

// Members that return an exit code return one once it is time to leave.
class Chat {
 public:
  Chat(const ChatOptions& options, const OpenModel& model, const Loaded& loaded, Interrupt& interrupt);
  Chat(const Chat&) = delete;
  Chat& operator=(const Chat&) = delete;

  int talk();

  // What follows is for the commands.

  const OpenModel& model() const { return model_; }
  Conversation& conversation() { return conversation_; }
  const Conversation& conversation() const { return conversation_; }
  const SamplingFlags& sampling_flags() const { return sampling_; }
  std::int64_t max_tokens() const { return max_tokens_; }
  const std::optional<Result>& last_result() const { return last_; }
  const std::filesystem::path& session_file() const { return session_; }
  const std::filesystem::path& last_chat_file() const { return last_chat_; }

  void set_sampling(const SamplingFlags& flags, const SamplingOptions& options);
  void set_max_tokens(std::int64_t tokens);

  std::optional<int> ask(const std::string& question);
  // The next line begins with `text`; where that cannot be, it is asked for in the user's editor.
  std::optional<int> offer(std::string text);
  void withdraw_offer() { next_.clear(); }
  // Goes in front of the next question.
  void attach(const std::string& text) { attached_ += text; }
  // Goes on with the conversation in a file, and says so. Throws BadUsage.
  void resume(const std::filesystem::path& file, const std::string& name);
  // Replaces a file only if it holds a conversation. Throws BadUsage and Error.
  void save(const std::filesystem::path& file) const;

 private:
  using Clock = std::chrono::steady_clock;

  Chat(const ChatOptions& options, const OpenModel& model, const Loaded& loaded, Interrupt& interrupt,
       const ChatFrame& frame, std::size_t context);

  void begin(const ChatOptions& options);
  int take_lines();
  std::optional<int> take_line(const std::string& line);
  std::optional<int> obey(const std::string& line);
  std::optional<int> take_message(const std::string& line);
  std::optional<int> take_interrupt();
  std::optional<int> end_answer(const Conversation::Plan& plan, Reply reply, Request& request);
  std::optional<int> ask(const std::string& question, Request& request);
  void tell_start(const Conversation::Plan& plan, Request& request);
  void tell_forgotten(const Conversation::Plan& plan, Request& request) const;
  void tell_reason(const Result& result) const;
  void tell_fullness();
  void keep();
  void keep_cache();
  void fail(const std::string& message, const std::string& hint = {});
  void refuse(ErrorEvent error);

  const OpenModel& model_;
  Interrupt& interrupt_;
  SamplingFlags sampling_;
  std::int64_t max_tokens_;
  Conversation conversation_;
  Interrupt::Watch watch_;
  TerminalModes modes_;
  Interrupt::JobControl job_control_;
  ChatSink sink_;
  ChatEvents events_;
  Start start_;     // of every answer, but for its sampling
  double load_ms_;  //
  bool echo_;
  LineEditor editor_;
  std::filesystem::path session_, last_chat_;  // where the chat is kept; empty: nowhere
  bool keeps_session_;
  bool reads_terminal_, reads_json_;
  bool has_failed_ = false;            // some line
  std::size_t lines_ = 0;              // of JSON
  std::chrono::nanoseconds timeout_;   // of an answer; 0: none
  std::vector<std::string> openings_;  // what is asked before anything is read
  std::string next_;                   // what the next line begins with
  std::string attached_;               // files, for the next question
  std::optional<Result> last_;
  bool was_told_full_ = false;
  std::optional<Clock::time_point> interrupted_;  // at the prompt, just now
};

}  // namespace carat
