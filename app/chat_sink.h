// The answers of a chat: as text, with a status line below while they are read and written.
#pragma once
#include <string>

#include "app/status_line.h"
#include "app/stopwatch.h"
#include "app/text_sink.h"

namespace carat {

struct ChatSinkOptions {
  TextSinkOptions text;
  bool answers_on_screen = true;   // standard output is the terminal
  bool thoughts_on_screen = true;  // standard error is, and thoughts go there
  bool status = true;              // a line on standard error, which is a terminal that can move its cursor
};

class ChatSink : public Sink {
 public:
  explicit ChatSink(const ChatSinkOptions& options) : options_(options), text_(options.text), status_(options.status) {}

  // An answer will come, to so many tokens in such a context.
  void expect(std::size_t prompt_tokens, std::size_t context);

  void on(const Event& event) override;

  // How far it is, for whoever asks.
  std::string progress() const;

 private:
  void show(const Delta& delta);

  ChatSinkOptions options_;
  TextSink text_;
  StatusLine status_;
  std::size_t prompt_ = 0, written_ = 0, context_ = 0;
  bool thinking_ = false;
  Stopwatch writing_;  // since the first token
};

}  // namespace carat
