#include "app/chat_reports.h"

#include <cstdio>

#include "app/chat.h"
#include "app/chat_settings.h"
#include "app/failure.h"
#include "app/history.h"
#include "app/model_facts.h"
#include "app/terminal.h"
#include "app/typed_text.h"
#include "engine/file/quote.h"

namespace carat {
namespace {

constexpr std::size_t kFirstLine = 60;  // characters

std::string counted(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string describe_model(const Chat& chat) {
  const OpenModel& model = chat.model();
  const ModelFacts facts = model_facts(model.files.file, model.model.config.context);
  return facts.name + " (" + facts.path + ")\n" + facts.architecture + ", " + facts.quant + ", " +
         counted(model.model.config.layers.size(), "layer") + ", " + std::to_string(facts.parameters) +
         " parameters\ntrained for " + std::to_string(facts.context) + " tokens of context; here " +
         std::to_string(chat.conversation().context());
}

std::string describe_template(const Chat& chat) {
  const std::string_view text = chat_template(chat.model().files.file);
  const std::string name = "turns: " + std::string(chat.conversation().frame().name());
  return text.empty() ? name + "; the model's file has no template" : name + "\n" + clean_text(text);
}

// A line for each token.
std::string describe_prompt(const Chat& chat) {
  const Tokenizer& tokenizer = *chat.model().tokenizer;
  std::string text;
  for (const TokenId id : chat.conversation().ids()) {
    text += (text.empty() ? "" : "\n") + std::to_string(id) + "\t" + quote(tokenizer.spelling(id));
  }
  return text.empty() ? "[nothing yet]" : text;
}

}  // namespace

std::string first_line(std::string_view text) {
  const std::string clean = clean_text(text.substr(0, text.find('\n')));
  const std::wstring wide = widen(clean);
  const bool is_cut = wide.size() > kFirstLine || clean.size() < text.size();
  return narrow(std::wstring_view(wide).substr(0, kFirstLine)) + (is_cut ? "…" : "");
}

std::string describe_context(const Conversation& conversation) {
  const std::vector<std::size_t> counts = conversation.tokens_per_turn();
  std::size_t used = 0;
  for (const std::size_t count : counts) used += count;
  const std::size_t context = conversation.context();
  std::string text = counted(used, "token") + " of " + std::to_string(context) + " used (" +
                     std::to_string(used * 100 / context) + "%), " + std::to_string(context - std::min(used, context)) +
                     " free";
  const auto line = [&text](std::size_t count, const std::string& what) {
    char number[16];
    std::snprintf(number, sizeof number, "\n%7zu  ", count);
    text += number + what;
  };
  const std::vector<Turn>& turns = conversation.transcript().turns;
  if (counts.front() > 0) line(counts.front(), "system: " + first_line(conversation.transcript().system));
  for (std::size_t i = 1; i < counts.size(); ++i) {
    line(counts[i], first_line(turns[conversation.first() + i - 1].question));
  }
  if (conversation.first() > 0) text += "\n[" + counted(conversation.first(), "older turn") + " forgotten]";
  return text;
}

std::string describe_stats(const Chat& chat) {
  if (!chat.last_result()) return "[no answer yet]";
  const auto& [usage, timings] = std::pair(chat.last_result()->usage, chat.last_result()->timings);
  const auto rate = [](std::size_t tokens, double ms) { return ms > 0 ? static_cast<double>(tokens) * 1000 / ms : 0; };
  const std::size_t read = usage.prompt_tokens - usage.cached_tokens;
  char text[512];
  std::snprintf(text, sizeof text,
                "prompt   %zu tokens, %zu of them read before; %zu read in %.2f s (%.1f tok/s)\n"
                "answer   %zu tokens in %.2f s (%.1f tok/s), the first after %.2f s\n"
                "seed     %llu\ncache    %.1f MiB when full",
                usage.prompt_tokens, usage.cached_tokens, read, timings.prompt_ms / 1000, rate(read, timings.prompt_ms),
                usage.completion_tokens, timings.predicted_ms / 1000,
                rate(chat.last_result()->steps(), timings.predicted_ms), timings.ttft_ms / 1000,
                static_cast<unsigned long long>(chat.last_result()->seed),
                static_cast<double>(chat.conversation().cache_bytes()) / (1 << 20));
  return text;
}

std::string describe(Chat& chat, const std::string& what) {
  if (what == "info") return describe_model(chat);
  if (what == "template") return describe_template(chat);
  if (what == "params") return list_settings(chat);
  if (what == "prompt") return describe_prompt(chat);
  throw BadUsage(quote(what) + " cannot be shown", "/show info, template, params or prompt");
}

std::string describe_session(Chat& chat) {
  const Transcript& transcript = chat.conversation().transcript();
  std::string text = counted(transcript.turns.size(), "turn");
  if (!chat.session_file().empty()) text += "; kept in " + chat.session_file().string();
  if (!chat.last_chat_file().empty()) {
    text += "\nthe last chat is kept in " + chat.last_chat_file().string() + " ('carat chat -C' goes on with it)";
  }
  return text;
}

}  // namespace carat
