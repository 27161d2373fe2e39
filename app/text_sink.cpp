#include "app/text_sink.h"

#include <cstdio>

#include "app/log.h"
#include "app/overloaded.h"

namespace carat {
namespace {

constexpr std::string_view kDim = "\x1b[2m", kPlain = "\x1b[0m";

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

// `timed`: of the tokens, those that the time was for.
std::string speed(std::size_t tokens, std::size_t timed, double ms) {
  char time[64], rate[64] = "";
  std::snprintf(time, sizeof time, "%zu token%s in %.2f s", tokens, tokens == 1 ? "" : "s", ms / 1000);
  if (timed > 0 && ms > 0) std::snprintf(rate, sizeof rate, " (%.1f tok/s)", static_cast<double>(timed) * 1000 / ms);
  return std::string(time) + rate;
}

}  // namespace

void TextSink::on(const Event& event) {
  std::visit(Overloaded{
                 [](const Start&) {}, [this](const Progress& progress) { show(progress); },
                 [](const Warning&) {},  // has been said where it arose
                 [this](const Delta& delta) { show(delta); }, [this](const Result& result) { finish(result); },
                 [this](const ErrorEvent&) { end_early(); },  // main() says what it was
             },
             event);
}

void TextSink::show(const Delta& delta) {
  if (delta.text.empty()) return;
  clear_progress();
  if (delta.channel == Channel::reasoning) return show_thought(delta.text);
  end_thoughts();
  write(delta.text);
}

void TextSink::show_thought(const std::string& text) {
  if (options_.thoughts == TextSinkOptions::Thoughts::hidden) return;
  if (options_.dims_thoughts && !thinking_) say_inline(kDim);
  thinking_ = true;
  last_thought_ = text.back();
  if (options_.thoughts == TextSinkOptions::Thoughts::on_stdout) return output_.write(shown(text));
  say_inline(without_controls(text));
}

// An empty line between thoughts and answer, where both are read.
void TextSink::end_thoughts() {
  if (!thinking_) return;
  thinking_ = false;
  if (options_.dims_thoughts) say_inline(kPlain);
  const std::string gap = last_thought_ == '\n' ? "\n" : "\n\n";
  if (options_.thoughts == TextSinkOptions::Thoughts::on_stdout) return output_.write(gap);
  say_inline(gap);
}

void TextSink::write(std::string_view text) {
  if (text.empty()) return;
  last_ = text.back();
  output_.write(shown(text));
}

std::string TextSink::shown(std::string_view text) const {
  return options_.shows_controls ? without_controls(text) : std::string(text);
}

void TextSink::show(const Progress& progress) {
  if (!options_.progress) return;
  char line[96];
  std::snprintf(line, sizeof line, "\r%s %llu of %llu %s\x1b[K", std::string(phase_name(progress.phase)).c_str(),
                static_cast<unsigned long long>(progress.done), static_cast<unsigned long long>(progress.total),
                std::string(progress.unit).c_str());
  say_inline(line);
  shows_progress_ = true;
}

void TextSink::clear_progress() {
  if (!shows_progress_) return;
  say_inline("\r\x1b[K");
  shows_progress_ = false;
}

void TextSink::end_early() {
  clear_progress();
  end_thoughts();
}

void TextSink::finish(const Result& result) {
  end_early();
  if (options_.final_newline && last_ != '\n') write("\n");
  output_.flush();
  last_ = '\n';
  if (!options_.stats) return;
  const Usage& usage = result.usage;
  const std::size_t read = usage.prompt_tokens - usage.cached_tokens;
  say("prompt " + speed(read, read, result.timings.prompt_ms) + ", answer " +
      speed(usage.completion_tokens, result.steps(), result.timings.predicted_ms) + ", seed " +
      std::to_string(result.seed));
}

}  // namespace carat
