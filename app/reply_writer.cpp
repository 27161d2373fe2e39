#include "app/reply_writer.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace carat {
namespace {

// The token and the `count` likeliest ones. Logarithms of probabilities before any sampling.
TokenChances chances_of(TokenId id, std::span<const float> logits, std::size_t count, const Tokenizer& tokenizer) {
  const float most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  const double normaliser = most + std::log(sum);
  const auto chance = [&](TokenId token) {
    return TokenChance{token, std::string(tokenizer.spelling(token)),
                       logits[static_cast<std::size_t>(token)] - normaliser};
  };
  TokenChances chances{chance(id), {}};
  std::vector<TokenId> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<TokenId>(i);
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(count, order.size()));
  std::partial_sort(order.begin(), end, order.end(), [logits](TokenId a, TokenId b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  });
  for (auto at = order.begin(); at != end; ++at) chances.top.push_back(chance(*at));
  return chances;
}

FinishReason finish_reason(StopReason reason, bool found_stop_text) {
  switch (reason) {
    case StopReason::end_token:
      return FinishReason::stop;
    case StopReason::token_limit:
      return FinishReason::length;
    case StopReason::context_full:
      return FinishReason::context;
    case StopReason::filtered:
      return FinishReason::constraint;
    case StopReason::cancelled:
      break;
  }
  return found_stop_text ? FinishReason::stop : FinishReason::interrupted;
}

}  // namespace

bool ReplyWriter::push(TokenId id, std::span<const float> logits) {
  ++tokens_;
  next_.ids.push_back(id);
  if (options_.logprobs) next_.logprobs.push_back(chances_of(id, logits, *options_.logprobs, tokenizer_));
  if (splitter_.thinking()) ++reasoning_tokens_;
  std::string text = decoder_.push(id);
  next_.lossy |= decoder_.take_lossy();
  show(splitter_.push(text));
  if (!stop_text_.found()) sink_.hold(held_back());
  return !stop_text_.found();
}

void ReplyWriter::show(std::vector<ThoughtSplitter::Part> parts) {
  for (auto& [channel, text] : parts) {
    emit(channel, channel == Channel::answer ? stop_text_.push(text) : std::move(text));
  }
}

void ReplyWriter::emit(Channel channel, std::string text) {
  if (text.empty()) return;
  (channel == Channel::answer ? answer_ : reasoning_) += text;
  next_.channel = channel;
  next_.text = std::move(text);
  sink_.on(std::exchange(next_, {}));
}

// What a copy of all that holds text back would let go of at the end: thoughts, or a part of the answer.
Delta ReplyWriter::held_back() const {
  Delta held = next_;
  StreamDecoder decoder = decoder_;
  ThoughtSplitter splitter = splitter_;
  StopText stop_text = stop_text_;
  const std::string tail = decoder.flush();
  held.lossy |= !tail.empty();
  std::vector<ThoughtSplitter::Part> parts = splitter.push(tail);
  std::ranges::move(splitter.flush(), std::back_inserter(parts));
  for (const auto& [channel, text] : parts) {
    held.channel = channel;
    held.text += channel == Channel::answer ? stop_text.push(text) : text;
  }
  held.text += stop_text.flush();
  return held;
}

Result ReplyWriter::finish(StopReason reason, TokenId end_token) {
  if (!stop_text_.found()) next_ = held_back();
  if (!next_.text.empty()) {
    emit(next_.channel, std::exchange(next_.text, {}));
  } else if (!next_.ids.empty()) {
    sink_.on(std::exchange(next_, {}));  // tokens without a text to show
  }

  Result result;
  result.text = std::move(answer_);
  if (!reasoning_.empty()) result.reasoning = std::move(reasoning_);
  result.reason = finish_reason(reason, stop_text_.found());
  if (stop_text_.found()) {
    result.stop = {StopCause::Kind::stop_text, stop_text_.text()};
  } else if (reason == StopReason::end_token) {
    result.stop = {StopCause::Kind::end_token, std::string(tokenizer_.spelling(end_token))};
  }
  result.usage.completion_tokens = tokens_;
  result.usage.reasoning_tokens = reasoning_tokens_;
  return result;
}

}  // namespace carat
