#include "app/text_sink.h"

#include <cstdio>

#include "app/log.h"

namespace carat {
namespace {

// `text` is UTF-8. C0 but for \n and \t, and DEL, become the pictures of U+2400; C1, which have none, U+FFFD.
std::string without_controls(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (is_c1) {
      shown += "\uFFFD";
      ++i;
    } else if (byte == 0x7f) {
      shown += "\u2421";
    } else if (byte < 0x20 && byte != '\n' && byte != '\t') {
      shown.append("\xe2\x90").push_back(static_cast<char>(0x80 + byte));
    } else {
      shown += text[i];
    }
  }
  return shown;
}

std::string speed(std::size_t tokens, double seconds) {
  char text[96];
  std::snprintf(text, sizeof text, "%zu tokens in %.2f s (%.1f tok/s)", tokens, seconds,
                seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0);
  return text;
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // clang 14 does not deduce it by itself

}  // namespace

void TextSink::on(const Event& event) {
  std::visit(Overloaded{
                 [this](const PromptRead& prompt) { prompt_ = prompt; },
                 [this](const Piece& piece) { write(piece.text); },
                 [this](const Finished& finished) { finish(finished); },
             },
             event);
}

void TextSink::write(std::string_view text) {
  if (text.empty()) return;
  last_ = text.back();
  output_.write(options_.shows_controls ? without_controls(text) : text);
}

void TextSink::finish(const Finished& finished) {
  if (options_.final_newline && last_ != '\n') write("\n");
  output_.flush();
  last_ = '\n';
  if (!options_.stats) return;
  say("prompt " + speed(prompt_.tokens, prompt_.seconds) + ", answer " + speed(finished.tokens, finished.seconds) +
      ", seed " + std::to_string(options_.seed));
}

}  // namespace carat
