#include "app/chat_events.h"

namespace carat {

ChatEvents::ChatEvents(const OutputFlags& flags, const ModelFacts& facts)
    : format_(flags.format), label_{.id = {}, .source = flags.source, .model = facts.name, .bits = facts.bits} {}

JsonSink& ChatEvents::begin() {
  using Shows = JsonSink::Shows;
  label_.id = "r" + std::to_string(++requests_);
  return sink_.emplace(output_, format_ == OutputFormat::json ? Shows::the_end : Shows::everything, label_);
}

void ChatEvents::refuse(const ErrorEvent& error) {
  ++failed_;
  sink_->on(error);
}

void ChatEvents::tell_end() {
  output_.write(json_line({{"type", "end"}, {"requests", requests_}, {"failed", failed_}}));
  output_.flush();
}

}  // namespace carat
