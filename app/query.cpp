#include "app/query.h"

#include <algorithm>

#include "app/failure.h"
#include "app/gpu_choice.h"
#include "app/model_facts.h"

namespace carat {
namespace {

constexpr std::int64_t kDefaultTokens = 2048;  // a model that does not stop must not run for hours

// Takes away the oldest question and what was answered to it; false if only the last question is left.
bool drop_oldest_turn(std::vector<Message>& messages) {
  const auto is_question = [](const Message& message) { return message.role == Role::user; };
  const auto first = std::ranges::find_if(messages, is_question);
  if (first == messages.end()) return false;
  const auto second = std::find_if(first + 1, messages.end(), is_question);
  if (second == messages.end()) return false;
  messages.erase(first, second);
  return true;
}

}  // namespace

Asker::Asker(const RunOptions& options, const OpenModel& model, std::size_t threads, double load_ms)
    : options_(options),
      model_(model),
      frame_(options.raw ? *ChatFrame::by_name("raw") : options.frame.choose(model, warnings_)),
      context_(options.context.positions(model.model.config, warnings_)),
      threads_(threads),
      load_ms_(load_ms),
      facts_(model_facts(model.files.file, model.model.config.context)) {}

// A constraint is for the answer, and thoughts could not be told from it.
RenderOptions Asker::render_options(bool constrained) const {
  RenderOptions options = options_.render.options(frame_);
  if (!constrained) return options;
  if (options_.render.wants_thoughts() || frame_.opens_with_thought()) {
    throw BadUsage("a constraint holds an answer without thoughts, and this model is to think", "--think off");
  }
  if (frame_.has_think_switch()) options.think = false;
  return options;
}

void Asker::constrain(PreparedQuery& query, const ConstraintFlags& flags) const {
  ReplyOptions& reply = query.reply;
  query.constraint = flags.make(*model_.tokenizer, reply.end_tokens, trie_);
  if (query.constraint == nullptr) return;
  query.constraint->begin(reply.begins_text);
  query.constraint_kind = flags.kind();
  reply.filter = query.constraint.get();
  reply.thoughts = Thoughts::none;
}

std::optional<Warning> PreparedQuery::judge(Result& result) const {
  if (constraint == nullptr) return std::nullopt;
  result.constraint = {std::string(constraint_kind), constraint->satisfied(), constraint->ms()};
  if (result.constraint->satisfied) return std::nullopt;
  return Warning{"constraint_not_met", "the answer ends before the constraint is met"};
}

void Asker::check_fits(std::size_t tokens, const QueryFlags& flags) const {
  if (tokens == 0) throw BadUsage("the prompt is empty, and this model begins no text by itself");
  const bool counts_answer = options_.overflow.policy == Overflow::error && flags.tokens.value_or(-1) > 0;
  const std::size_t all = tokens + (counts_answer ? static_cast<std::size_t>(*flags.tokens) : 0);
  if (all <= context_) return;
  const std::size_t trained = model_.model.config.context;
  const std::string what = "the prompt has " + std::to_string(tokens) + " tokens" +
                           (counts_answer ? ", the answer up to " + std::to_string(*flags.tokens) : "");
  throw PromptTooLong(
      what + ", the context " + std::to_string(context_),
      all <= trained ? "-c " + std::to_string(trained) : "this model reads no more; shorten the prompt");
}

PreparedQuery Asker::prepare(Query query) const {
  PreparedQuery prepared;
  prepared.warnings = warnings_;
  prepared.render = render_options(query.flags.constraint.given());
  const auto render = [&] { return frame_.render(*model_.tokenizer, query.messages, prepared.render); };
  prepared.prompt = render();
  const bool drops_turns = options_.overflow.policy == Overflow::drop_turns;
  std::size_t dropped = 0;
  while (drops_turns && prepared.prompt.size() > context_ && drop_oldest_turn(query.messages)) {
    prepared.prompt = render();
    ++dropped;
  }
  if (dropped > 0) prepared.warnings.push_back(forgotten_turns(dropped));
  check_fits(prepared.prompt.size(), query.flags);
  const std::int64_t tokens = query.flags.tokens.value_or(kDefaultTokens);
  ReplyOptions& reply = prepared.reply;
  reply.max_tokens = tokens < 0 ? context_ : static_cast<std::size_t>(tokens);
  reply.end_tokens = frame_.stops(*model_.tokenizer);
  reply.stop_texts = query.flags.stops;
  reply.begins_text = frame_.name() != "raw" || query.messages.back().content.empty();
  reply.thoughts = options_.render.thoughts(frame_);
  reply.logprobs = query.flags.logprobs;
  reply.progress_step = options_.output.shows_progress() ? options_.context.step() : 0;
  if (options_.overflow.policy == Overflow::shift) reply.shift_keeping = options_.overflow.keep;
  if (const auto budget = options_.render.budget()) {
    prepared.thought_budget =
        std::make_unique<ThoughtBudget>(*model_.tokenizer, reply.thoughts, reply.begins_text, *budget);
    reply.filter = prepared.thought_budget.get();
  }
  constrain(prepared, query.flags.constraint);
  prepared.sampling = sampling_options(query.flags.sampling, model_, context_);
  prepared.messages = std::move(query.messages);
  return prepared;
}

Start Asker::start(const PreparedQuery& query) const {
  return {facts_,
          context_,
          threads_,
          options_.context.step(),
          device_of(model_.model),
          std::string(model_.model.backend->name()),
          model_.model.gpu_layers,
          std::string(frame_.name()),
          query.sampling};
}

Result Asker::expected(const PreparedQuery& query, std::uint64_t cache_bytes) const {
  Result result;
  result.usage.prompt_tokens = query.prompt.size();
  result.timings.load_ms = load_ms_;
  result.memory = {weight_bytes(model_.files.file), cache_bytes, 0};
  result.seed = query.sampling.seed;
  if (query.constraint != nullptr) result.constraint = {std::string(query.constraint_kind), false};
  return result;
}

std::optional<Warning> Asker::ending_warning(const Query& query, FinishReason reason) const {
  if (reason == FinishReason::length && !query.flags.tokens) {
    return Warning{"length",
                   "stopped after " + std::to_string(kDefaultTokens) + " tokens (-n sets another limit, -1 none)"};
  }
  if (reason == FinishReason::context) {
    return Warning{"context",
                   "stopped: the context of " + std::to_string(context_) + " tokens is full (-c sets another)"};
  }
  return std::nullopt;
}

}  // namespace carat
