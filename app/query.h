// A question on its way to a model: what carat run and its worker do the same with each.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "app/constraint_flags.h"
#include "app/open_model.h"
#include "app/reply_writer.h"
#include "app/run_options.h"
#include "app/thought_budget.h"

namespace carat {

struct Query {
  std::vector<Message> messages;  // what was said, the system's words first; --raw: one, of the user
  QueryFlags flags;
};

// A query as tokens.
struct PreparedQuery {
  std::vector<TokenId> prompt;
  ReplyOptions reply;
  SamplingOptions sampling;
  std::vector<Message> messages;  // that are left
  RenderOptions render;
  std::unique_ptr<AnswerConstraint> constraint;  // of `reply`; none: anything may be written
  std::unique_ptr<ThoughtBudget> thought_budget;
  std::string_view constraint_kind;
  std::vector<Warning> warnings;  // what there is to say before the answer

  // Says in the result whether the constraint was met, and returns what there is to say of it otherwise.
  std::optional<Warning> judge(Result& result) const;
};

// A loaded model and how the flags have it used. Options and model outlive it.
class Asker {
 public:
  Asker(const RunOptions& options, const OpenModel& model, std::size_t threads, double load_ms);

  // Throws BadUsage and PromptTooLong.
  PreparedQuery prepare(Query query) const;

  // What is known before the first token.
  Start start(const PreparedQuery& query) const;
  Result expected(const PreparedQuery& query, std::uint64_t cache_bytes) const;

  const ModelFacts& facts() const { return facts_; }
  const OpenModel& model() const { return model_; }
  const ChatFrame& frame() const { return frame_; }
  std::size_t context() const { return context_; }
  const RunOptions& options() const { return options_; }

  // Of the model and the flags; every prepared query begins with them.
  const std::vector<Warning>& warnings() const { return warnings_; }
  // Of an answer that ended so; none if it is nothing to speak of.
  std::optional<Warning> ending_warning(const Query& query, FinishReason reason) const;

 private:
  RenderOptions render_options(bool constrained) const;
  void constrain(PreparedQuery& query, const ConstraintFlags& flags) const;
  void check_fits(std::size_t tokens, const QueryFlags& flags) const;

  const RunOptions& options_;
  const OpenModel& model_;
  std::vector<Warning> warnings_;  // before those whose making may warn
  ChatFrame frame_;
  std::size_t context_;
  std::size_t threads_;
  double load_ms_;
  ModelFacts facts_;
  mutable std::shared_ptr<const TokenTrie> trie_;  // of the tokens that answers consist of, once it is needed
};

}  // namespace carat
