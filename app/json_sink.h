// Events as JSON on standard output: a line for each, or the last one alone.
#pragma once
#include "app/json_event.h"
#include "app/output.h"
#include "app/sink.h"

namespace carat {

// Every line is flushed. The output outlives it, and may be shared with the sinks of other requests.
class JsonSink : public Sink {
 public:
  enum class Shows { everything, the_end };

  JsonSink(Output& output, Shows shows, RequestLabel label)
      : output_(output), shows_(shows), label_(std::move(label)) {}

  void on(const Event& event) override;

 private:
  Output& output_;
  Shows shows_;
  RequestLabel label_;
};

}  // namespace carat
