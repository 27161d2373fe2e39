// What a chat tells a program: each question is a request, with the events that carat run has for it.
#pragma once
#include <optional>

#include "app/json_sink.h"
#include "app/output_flags.h"

namespace carat {

class ChatEvents {
 public:
  ChatEvents(const OutputFlags& flags, const ModelFacts& facts);

  explicit operator bool() const { return format_ != OutputFormat::text; }  // a program listens

  // Where the events of the next question go.
  JsonSink& begin();

  // A question that nothing comes of, which begin() has announced.
  void refuse(const ErrorEvent& error);
  void note_failure() { ++failed_; }

  void tell_end();  // of all requests

 private:
  OutputFormat format_;
  RequestLabel label_;
  Output output_;
  std::optional<JsonSink> sink_;
  std::size_t requests_ = 0, failed_ = 0;
};

}  // namespace carat
