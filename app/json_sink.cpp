#include "app/json_sink.h"

namespace carat {

void JsonSink::on(const Event& event) {
  if (const auto* const start = std::get_if<Start>(&event)) {
    label_.model = start->model.name;
    label_.bits = start->model.bits;
  }
  if (shows_ == Shows::the_end && !is_terminal(event)) return;
  // The library's objects take memory even to end: they are gone before anything is told.
  const std::string line = json_line(to_json(event, label_));
  output_.write(line);
  output_.flush();
}

}  // namespace carat
