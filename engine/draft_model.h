// A small model that guesses what a large one with the same vocabulary will write.
#pragma once
#include <stop_token>
#include <vector>

#include "engine/drafter.h"
#include "engine/step_costs.h"

namespace carat {

// Drafts are as long as promises to save the most time, by what both models' steps have taken and how often drafts have
// come true.
class DraftModel final : public Drafter {
 public:
  // `max_draft`: tokens of a draft, at most. The model outlives it. Throws as Session does.
  DraftModel(const Model& model, const SessionOptions& options, std::size_t max_draft);

  // Begins with a text in place of the last one; of what both begin with nothing is read again. False when stopped.
  bool begin(std::span<const TokenId> text, const std::stop_token& stop);

  void note(TokenId token) override { text_.push_back(token); }
  std::span<const TokenId> draft(std::size_t limit) override;
  void came_true(std::size_t count) override;
  void took(std::size_t tokens, double seconds) override;

 private:
  std::span<const float> read_text(const std::stop_token& stop = {});
  std::size_t worthwhile(std::size_t limit);

  Session session_;
  std::size_t max_draft_;
  std::vector<TokenId> text_;
  std::vector<TokenId> read_;  // in the session: the text, as far as it was read, then what was drafted
  std::vector<TokenId> draft_;
  StepCosts costs_;              // of the model that checks
  double checked_step_ = 0;      // of it, with one token, in seconds; 0 = not known
  double own_step_ = 0;          // likewise of this one
  double tried_ = 4, true_ = 3;  // tokens of drafts that were reached, and that came true: a first guess
  std::size_t passed_over_ = 0;  // times in a row that no draft was promising
};

}  // namespace carat
