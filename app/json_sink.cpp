#include "app/json_sink.h"

namespace carat {

void JsonSink::on(const Event& event) {
  if (const auto* const start = std::get_if<Start>(&event)) {
    label_.model = start->model.name;
    label_.bits = start->model.bits;
  }
  if (shows_ == Shows::the_end && !is_terminal(event)) return;
  output_.write(json_line(to_json(event, label_)));
  output_.flush();
}

}  // namespace carat
