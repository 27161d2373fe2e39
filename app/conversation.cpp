#include "app/conversation.h"

#include <algorithm>
#include <utility>

#include "app/failure.h"
#include "app/session_cache.h"
#include "app/thought_budget.h"
#include "tokenizer/stream_decoder.h"

namespace carat {

Conversation::Conversation(const ConversationOptions& options, const OpenModel& model, ChatFrame frame)
    : options_(options),
      model_(model),
      frame_(std::move(frame)),
      session_(model.model, options.session),
      drafting_(options.lookup, options.second, options.session, options.overflow.policy == Overflow::shift),
      sampler_(options.sampling, model.model.config.vocabulary) {
  if (options.overflow.policy == Overflow::shift) options_.reply.shift_keeping = options.overflow.keep;
}

std::vector<TokenId> Conversation::render(std::span<const Message> messages, bool asks) const {
  RenderOptions options = options_.render;
  options.generation_prompt = asks;
  return frame_.render(*model_.tokenizer, messages, options);
}

std::vector<TokenId> Conversation::with_question(const std::string& question, std::size_t first, bool goes_on) const {
  const Message asked{Role::user, question};
  if (!goes_on) {
    std::vector<Message> messages = transcript_.messages(first);
    messages.push_back(asked);
    return render(messages, true);
  }
  std::vector<TokenId> ids = ids_;
  const std::vector<TokenId> added = frame_.continuation(*model_.tokenizer, std::span(&asked, 1), options_.render);
  ids.insert(ids.end(), added.begin(), added.end());
  return ids;
}

Conversation::Plan Conversation::plan(std::string question) const {
  Plan plan;
  plan.question = std::move(question);
  plan.first = first_;
  plan.goes_on = goes_on_;
  plan.ids = with_question(plan.question, plan.first, plan.goes_on);
  // Some room is for the answer. What is dropped makes more of it, lest the next turn has the model read all again.
  const std::size_t room = session_.context() - std::min(options_.reply.max_tokens, session_.context() / 4);
  if (plan.ids.size() > room && options_.overflow.policy == Overflow::drop_turns) {
    while (plan.ids.size() > session_.context() / 2 && plan.first < transcript_.turns.size()) {
      plan.goes_on = false;
      plan.ids = with_question(plan.question, ++plan.first, false);
    }
  }
  if (options_.overflow.policy == Overflow::shift) shift(plan, room);
  plan.fits = plan.ids.size() <= session_.context();
  return plan;
}

void Conversation::shift(Plan& plan, std::size_t room) const {
  if (plan.ids.size() <= room) return;
  const std::size_t keep = std::min(options_.overflow.keep, room / 2);
  const std::size_t newest = (room - keep) / 2;
  plan.cut = plan.ids.size() - keep - newest;
  const auto begin = plan.ids.begin() + static_cast<std::ptrdiff_t>(keep);
  plan.ids.erase(begin, begin + static_cast<std::ptrdiff_t>(plan.cut));
}

std::string Conversation::text(const Plan& plan) const {
  const Tokenizer& tokenizer = *model_.tokenizer;
  const bool is_added = plan.goes_on && plan.cut == 0;
  StreamDecoder decoder(tokenizer, !is_added);
  std::string text;
  for (const TokenId id : std::span(plan.ids).subspan(is_added ? ids_.size() : 0)) {
    text += tokenizer.is_control(id) ? std::string(tokenizer.spelling(id)) : decoder.push(id);
  }
  return text + decoder.flush();
}

// Where the reply to a plan may begin with thoughts.
Thoughts Conversation::thoughts() const {
  if (frame_.opens_with_thought()) return Thoughts::open;
  if (constraint_ != nullptr) return Thoughts::none;
  const bool are_off = frame_.has_think_switch() && !options_.render.think;  // the prompt has ended them already
  return are_off || frame_.name() == "raw" ? Thoughts::none : Thoughts::marked;
}

Reply Conversation::answer(const Plan& plan, Sink& sink, const std::stop_token& stop) {
  // What the session has of these tokens stays; at least one is read, for its logits.
  const auto known = std::ranges::mismatch(read_, plan.ids).in2 - plan.ids.begin();
  read_.resize(session_.rewind(std::min(static_cast<std::size_t>(known), plan.ids.size() - 1)));  // also if it fails
  sampler_.forget();
  for (const TokenId id : plan.ids) sampler_.note(id);

  if (constraint_ != nullptr) constraint_->begin(options_.reply.begins_text);
  options_.reply.drafter = drafting_.begin(plan.ids, stop);
  options_.reply.filter = constraint_.get();
  options_.reply.thoughts = thoughts();
  std::optional<ThoughtBudget> budget;
  if (options_.thought_budget && constraint_ == nullptr) {
    budget.emplace(*model_.tokenizer, options_.reply.thoughts, options_.reply.begins_text, *options_.thought_budget);
    options_.reply.filter = &*budget;
  }
  Reply reply = carat::reply(session_, sampler_, plan.ids, *model_.tokenizer, options_.reply, sink, stop);
  std::vector<TokenId> all = plan.ids;
  all.insert(all.end(), reply.ids.begin(), reply.ids.end());
  const bool was_shifted = session_.position() + 1 < all.size() && reply.read;
  if (was_shifted) session_.rewind(0);
  read_.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(session_.position()));
  if (!reply.read) return reply;
  if (constraint_ != nullptr) {
    reply.result.constraint = {std::string(constraint_kind_), constraint_->satisfied(), constraint_->ms()};
  }

  const bool continues = plan.goes_on && plan.cut == 0;
  if (!continues) std::ranges::fill(begins_, std::nullopt);
  begins_.push_back(continues ? std::optional(ids_.size()) : std::nullopt);
  first_ = plan.first;
  ids_ = std::move(all);
  goes_on_ = true;
  transcript_.turns.push_back({plan.question, reply.result.text, reply.result.reasoning});
  return reply;
}

void Conversation::begin_anew() {
  ids_.clear();
  goes_on_ = false;
  std::ranges::fill(begins_, std::nullopt);
}

void Conversation::clear() {
  transcript_.turns.clear();
  begins_.clear();
  first_ = 0;
  begin_anew();
}

bool Conversation::undo(Turn* taken) {
  if (transcript_.turns.empty()) return false;
  if (taken != nullptr) *taken = std::move(transcript_.turns.back());
  transcript_.turns.pop_back();
  if (begins_.back() && goes_on_) {
    ids_.resize(*begins_.back());
  } else {
    begin_anew();
  }
  begins_.pop_back();
  first_ = std::min(first_, transcript_.turns.size());
  return true;
}

void Conversation::put_back(Turn turn) {
  transcript_.turns.push_back(std::move(turn));
  begins_.push_back(std::nullopt);
  begin_anew();
}

bool Conversation::forget_oldest() {
  if (first_ >= transcript_.turns.size()) return false;
  const auto at = static_cast<std::ptrdiff_t>(first_);
  transcript_.turns.erase(transcript_.turns.begin() + at);
  begins_.erase(begins_.begin() + at);
  begin_anew();
  return true;
}

void Conversation::load(Transcript transcript) {
  transcript_ = std::move(transcript);
  begins_.assign(transcript_.turns.size(), std::nullopt);
  first_ = 0;
  begin_anew();
}

void Conversation::load_cache(const std::filesystem::path& file) {
  const std::uint64_t key = cache_key(model_, frame_.name(), options_.session.cache);
  session_.rewind(0);
  read_ = carat::load_cache(file, session_, key, model_.model.config.vocabulary);
}

void Conversation::save_cache(const std::filesystem::path& file) const {
  if (read_.empty()) return;
  carat::save_cache(file, session_, read_, cache_key(model_, frame_.name(), options_.session.cache));
}

void Conversation::set_system(std::string text) {
  transcript_.system = std::move(text);
  begin_anew();
}

void Conversation::set_sampling(const SamplingOptions& options) {
  sampler_ = Sampler(options, model_.model.config.vocabulary);
}

void Conversation::set_thinking(bool on, std::optional<std::size_t> budget) {
  options_.render.think = on;
  options_.thought_budget = budget;
}

void Conversation::set_constraint(const ConstraintFlags& flags) {
  auto constraint = flags.make(*model_.tokenizer, options_.reply.end_tokens, trie_);
  if (constraint != nullptr && frame_.opens_with_thought()) {
    throw BadUsage("this model always thinks: no constraint holds it");
  }
  if (constraint != nullptr && frame_.has_think_switch()) options_.render.think = false;
  constraint_ = std::move(constraint);
  constraint_kind_ = flags.kind();
}

std::vector<TokenId> Conversation::ids() const {
  if (goes_on_) return ids_;
  const std::vector<Message> messages = transcript_.messages(first_);
  return messages.empty() ? std::vector<TokenId>() : render(messages, false);
}

std::vector<std::size_t> Conversation::tokens_per_turn() const {
  std::vector<std::size_t> counts;
  std::size_t before = 0;
  Transcript part{transcript_.system, {}};
  const auto count_to = [&](std::size_t end) {
    counts.push_back(end - std::min(before, end));
    before = end;
  };
  count_to(part.empty() ? 0 : render(part.messages(), false).size());
  for (std::size_t i = first_; i < transcript_.turns.size(); ++i) {
    part.turns.push_back(transcript_.turns[i]);
    const bool is_last = i + 1 == transcript_.turns.size();
    const bool is_known = !is_last && goes_on_ && begins_[i + 1];
    count_to(is_last ? ids().size() : is_known ? *begins_[i + 1] : render(part.messages(), false).size());
  }
  return counts;
}

}  // namespace carat
