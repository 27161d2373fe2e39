// Prompt lookup: how a text may go on is looked up in the text itself, and checked in one step with what is written.
#pragma once
#include <array>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/drafter.h"
#include "engine/session.h"
#include "engine/step_costs.h"

namespace carat {

// The text so far, and drafts of how it goes on: what followed the last time that the latest tokens stood there
// (Saxena, 2023; Leviathan et al., 2023). A draft is as long as promises to save the most time, by what steps have
// taken and how often drafts have come true; and as failed ones cost time, only as many are made as success pays for.
class Lookup final : public Drafter {
 public:
  // `context`: tokens of text there is room for; `max_draft`: tokens of a draft, at most.
  Lookup(std::size_t context, std::size_t max_draft);

  // The next token of the text, read or written.
  void note(TokenId token) override;
  std::size_t size() const { return text_.size(); }
  // Forgets what lies behind `position`.
  void rewind(std::size_t position) { text_.resize(std::min(position, text_.size())); }

  // A draft of up to `limit` tokens; empty where the text holds none or they have not been paying. Valid until the
  // next.
  std::span<const TokenId> draft(std::size_t limit) override;
  void came_true(std::size_t count) override;
  void took(std::size_t tokens, double seconds) override { costs_.took(tokens, seconds); }

 private:
  static constexpr std::size_t kKey = 3;  // tokens that must agree
  static constexpr std::size_t kBuckets = 1 << 14;
  struct Match {
    std::size_t next = 0;    // where the text went on from there; 0 = nowhere
    std::size_t length = 0;  // tokens that agree
  };
  // How often tokens of drafts came true, of those that were reached.
  struct Luck {
    double tried, true_;
    double chance() const { return true_ / tried; }
  };

  std::size_t bucket() const;  // of the last kKey tokens
  Match longest_match() const;
  std::size_t worthwhile(std::size_t limit) const;

  std::size_t context_, max_draft_;
  std::vector<TokenId> text_;
  std::vector<std::uint32_t> latest_;   // [kBuckets]: the last position that followed such tokens; 0 = none
  std::vector<std::uint32_t> earlier_;  // [context]: of each position, the one before it in its bucket
  std::vector<TokenId> draft_;
  StepCosts costs_;
  std::array<Luck, 4> luck_;     // by the length of the match
  std::size_t luck_class_ = 0;   // of the last draft
  std::size_t passed_over_ = 0;  // matches since then, of which nothing was promising
  double credit_;                // decode steps that drafts may still waste
};

// Feeds a session token by token, ahead of the text where a draft is to be had. What it returns, and what the session
// holds when it is gone, is as if each token had been fed when it came.
class LookAhead {
 public:
  // Without a drafter, nothing is drafted.
  LookAhead(Session& session, Drafter* drafter) : session_(session), drafter_(drafter) {}
  ~LookAhead() { settle(); }
  LookAhead(const LookAhead&) = delete;
  LookAhead& operator=(const LookAhead&) = delete;

  // The logits after `token`; empty when stopped. `more`: tokens that may yet be fed behind it, at most.
  std::span<const float> feed(TokenId token, std::size_t more, const std::stop_token& stop);
  std::size_t room() const { return session_.room() + drafted_ - right_; }

 private:
  void settle();

  Session& session_;
  Drafter* drafter_;
  std::array<TokenId, kFewRows> ids_{};  // one token of the text, then the draft
  std::size_t drafted_ = 0;              // tokens of the draft, all of them fed
  std::size_t right_ = 0;                // of these, those that came true so far
};

}  // namespace carat
