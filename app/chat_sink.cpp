#include "app/chat_sink.h"

#include <cstdio>

namespace carat {

void ChatSink::expect(std::size_t prompt_tokens, std::size_t context) {
  prompt_ = prompt_tokens;
  context_ = context;
  written_ = 0;
  thinking_ = false;
}

void ChatSink::on(const Event& event) {
  if (const auto* const delta = std::get_if<Delta>(&event)) return show(*delta);
  if (const auto* const progress = std::get_if<Progress>(&event)) {
    if (progress->done == progress->total) return status_.clear();
    return status_.show("[reading: " + std::to_string(progress->done) + " of " + std::to_string(progress->total) +
                        " tokens]");
  }
  if (is_terminal(event)) {
    status_.clear();
    status_.make_room("\n");
  }
  text_.on(event);
}

void ChatSink::show(const Delta& delta) {
  if (written_ == 0) writing_ = Stopwatch();
  written_ += delta.ids.size();
  const bool is_thought = delta.channel == Channel::reasoning;
  if (is_thought ? options_.thoughts_on_screen : options_.answers_on_screen) {
    if (thinking_ && !is_thought) status_.make_room("\n\n");  // the gap between them
    status_.make_room(delta.text);
  }
  thinking_ = is_thought && options_.thoughts_on_screen;
  text_.on(delta);
  if (status_.is_on()) status_.show("[" + progress() + (is_thought ? ", thinking" : "") + "]");
}

std::string ChatSink::progress() const {
  char rate[32] = "", line[96];
  const double seconds = writing_.ms() / 1000;
  if (written_ > 1 && seconds > 0) {
    std::snprintf(rate, sizeof rate, "%.1f tok/s, ", static_cast<double>(written_ - 1) / seconds);
  }
  const std::size_t used = prompt_ + written_;
  std::snprintf(line, sizeof line, "%scontext %zu of %zu (%zu%%)", rate, used, context_,
                context_ > 0 ? used * 100 / context_ : 0);
  return line;
}

}  // namespace carat
