#include "tokenizer/stream_decoder.h"

#include "tokenizer/utf8.h"

namespace carat {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

}  // namespace

std::string StreamDecoder::push_bytes(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (drops_space_ && bytes[0] == ' ') bytes.remove_prefix(1);
  drops_space_ = false;

  std::string rest = held_back_.append(bytes);
  held_back_.clear();
  std::string text;
  for (std::size_t at = 0; at < rest.size();) {
    const std::string_view here = std::string_view(rest).substr(at);
    const Utf8Step step = utf8_step(here);
    switch (step.kind) {
      case Utf8Step::Kind::whole:
        text += here.substr(0, step.length);
        break;
      case Utf8Step::Kind::incomplete:
        held_back_ = here;
        break;
      case Utf8Step::Kind::invalid:
        text += kReplacement;
        lossy_ = true;
        break;
    }
    at += step.length;
  }
  return text;
}

std::string StreamDecoder::flush() {
  if (held_back_.empty()) return {};
  held_back_.clear();
  lossy_ = true;
  return std::string(kReplacement);
}

}  // namespace carat
