// What was said so far, as texts and as the tokens that the model has read of it.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "app/constraint_flags.h"
#include "app/open_model.h"
#include "app/options.h"
#include "app/reply.h"
#include "app/transcript.h"

namespace carat {

struct ConversationOptions {
  SessionOptions session;
  SamplingOptions sampling;
  ReplyOptions reply;
  RenderOptions render = {};
  std::optional<std::size_t> thought_budget = {};
  OverflowFlags overflow{Overflow::drop_turns};
  LookupFlags lookup = {};
};

class Conversation {
 public:
  Conversation(const ConversationOptions& options, const OpenModel& model, ChatFrame frame);

  // What the model would be asked next, and what that takes.
  struct Plan {
    std::string question;
    std::vector<TokenId> ids;  // of the whole conversation, up to the answer
    std::size_t first = 0;     // turn in it; those before are forgotten
    std::size_t cut = 0;       // tokens that Overflow::shift forgets
    bool goes_on = false;      // behind what the model itself has written
    bool fits = false;
  };
  Plan plan(std::string question) const;

  // What the model reads of a plan that it has not read before, control tokens spelled out.
  std::string text(const Plan& plan) const;

  // The answer to a plan that fits: a turn more, unless stopped before the prompt was read. The result is the caller's
  // to send.
  Reply answer(const Plan& plan, Sink& sink, const std::stop_token& stop);

  // Forgets the turns and keeps the system text.
  void clear();
  // Takes the last turn back; false if there is none.
  bool undo(Turn* taken = nullptr);
  void put_back(Turn turn);
  // Forgets the oldest turn that the model still knows; false if there is none.
  bool forget_oldest();
  // Puts another conversation in the place of this one.
  void load(Transcript transcript);

  // What the model has read of it, in a file: see session_cache.h.
  void load_cache(const std::filesystem::path& file);
  void save_cache(const std::filesystem::path& file) const;

  void set_system(std::string text);
  void set_sampling(const SamplingOptions& options);
  void set_max_tokens(std::size_t tokens) { options_.reply.max_tokens = tokens; }
  // For so many tokens at most; none: for any number.
  void set_thinking(bool on, std::optional<std::size_t> budget = {});
  // What answers are held to from now on, without thoughts. Throws BadUsage and ConstraintNotMet.
  void set_constraint(const ConstraintFlags& flags);
  std::string_view constraint() const { return constraint_kind_; }  // empty: none

  const Transcript& transcript() const { return transcript_; }
  const SamplingOptions& sampling() const { return sampler_.options(); }
  const ChatFrame& frame() const { return frame_; }
  bool thinking() const { return options_.render.think; }
  std::optional<std::size_t> thought_budget() const { return options_.thought_budget; }
  std::size_t context() const { return session_.context(); }
  std::size_t cache_bytes() const { return session_.cache_bytes(); }
  std::size_t first() const { return first_; }  // turn that the model still knows

  // The tokens of the conversation, as the next question finds them.
  std::vector<TokenId> ids() const;
  // How many there are of the system text and of each turn from first() on.
  std::vector<std::size_t> tokens_per_turn() const;

 private:
  std::vector<TokenId> render(std::span<const Message> messages, bool asks) const;
  std::vector<TokenId> with_question(const std::string& question, std::size_t first, bool goes_on) const;
  void shift(Plan& plan, std::size_t room) const;
  Thoughts thoughts() const;
  void begin_anew();

  ConversationOptions options_;
  const OpenModel& model_;
  ChatFrame frame_;
  std::unique_ptr<AnswerConstraint> constraint_;  // of all answers; none: they are free
  std::string_view constraint_kind_;
  std::shared_ptr<const TokenTrie> trie_;  // of the tokens of answers, once a constraint needs it
  Session session_;
  Sampler sampler_;
  Transcript transcript_;
  std::vector<std::optional<std::size_t>>
      begins_;  // of each turn: where it begins in ids_, if the model wrote before it
  std::size_t first_ = 0;
  std::vector<TokenId> ids_;   // up to the last answer, while goes_on_
  bool goes_on_ = false;       // ids_ is what the model wrote; else the transcript has to be rendered
  std::vector<TokenId> read_;  // in the session
};

}  // namespace carat
