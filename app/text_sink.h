// The answer as plain text on standard output, and figures on standard error if they are asked for.
#pragma once
#include <cstdint>

#include "app/output.h"
#include "app/sink.h"

namespace carat {

struct TextSinkOptions {
  bool final_newline = true;    // end with one, if the answer does not and is not empty
  bool shows_controls = false;  // show control characters as pictures, lest a model's text drives the terminal
  bool stats = false;
  std::uint64_t seed = 0;  // to be reported with them
};

class TextSink : public Sink {
 public:
  explicit TextSink(const TextSinkOptions& options) : options_(options) {}
  void on(const Event& event) override;

 private:
  void write(std::string_view text);
  void finish(const Finished& finished);

  TextSinkOptions options_;
  Output output_;
  PromptRead prompt_{};
  char last_ = '\n';  // byte of the answer
};

}  // namespace carat
