#include "app/transcript.h"

#include <nlohmann/json.hpp>

#include "app/failure.h"
#include "app/messages.h"
#include "app/text_input.h"
#include "engine/error.h"
#include "engine/file/output_file.h"

namespace carat {
namespace {

using nlohmann::json;

std::string line(std::string_view role, const std::string& content, const std::optional<std::string>& reasoning = {}) {
  nlohmann::ordered_json message = {{"role", role}, {"content", content}};
  if (reasoning) message["reasoning"] = *reasoning;
  return message.dump() + "\n";
}

std::string text_of(const json& message, const char* key, const std::string& where) {
  const auto found = message.find(key);
  if (found == message.end() || !found->is_string()) throw BadUsage(where + ": no text '" + key + "'");
  auto text = found->get<std::string>();
  check_text(text, where + ": '" + key + "'");
  return text;
}

void add_message(Transcript& transcript, const json& message, const std::string& where) {
  if (!message.is_object()) throw BadUsage(where + ": no message, which is an object with 'role' and 'content'");
  const Role role = parse_role(text_of(message, "role", where), where);
  std::string content = text_of(message, "content", where);
  std::vector<Turn>& turns = transcript.turns;
  if (role == Role::system) {
    if (!transcript.system.empty() || !turns.empty())
      throw BadUsage(where + ": a system message that is not the first");
    transcript.system = std::move(content);
  } else if (role == Role::user) {
    turns.push_back({std::move(content), std::nullopt, std::nullopt});
  } else {
    if (turns.empty() || turns.back().answer) turns.emplace_back();
    turns.back().answer = std::move(content);
    if (message.contains("reasoning")) turns.back().reasoning = text_of(message, "reasoning", where);
  }
}

}  // namespace

std::vector<Message> Transcript::messages(std::size_t first) const {
  std::vector<Message> messages;
  if (!system.empty()) messages.push_back({Role::system, system});
  for (std::size_t i = first; i < turns.size(); ++i) {
    const Turn& turn = turns[i];
    if (!turn.question.empty() || !turn.answer) messages.push_back({Role::user, turn.question});
    if (turn.answer) messages.push_back({Role::assistant, *turn.answer});
  }
  return messages;
}

std::string to_jsonl(const Transcript& transcript) {
  std::string text;
  if (!transcript.system.empty()) text += line("system", transcript.system);
  for (const Turn& turn : transcript.turns) {
    if (!turn.question.empty() || !turn.answer) text += line("user", turn.question);
    if (turn.answer) text += line("assistant", *turn.answer, turn.reasoning);
  }
  return text;
}

Transcript parse_transcript(std::string_view text, const std::string& source) {
  constexpr std::string_view kWhite = " \t\r\n";
  Transcript transcript;
  const std::size_t begin = text.find_first_not_of(kWhite);
  if (begin == std::string_view::npos) return transcript;
  if (text[begin] == '[') {
    std::size_t number = 0;
    const json messages = parse_json(text, source);
    for (const json& message : messages) {
      add_message(transcript, message, source + ": message " + std::to_string(++number));
    }
    return transcript;
  }
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view next = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(next.size() + 1, text.size()));
    if (next.find_first_not_of(kWhite) == std::string_view::npos) continue;
    const std::string where = source + ": line " + std::to_string(number);
    add_message(transcript, parse_json(next, where), where);
  }
  return transcript;
}

void write_private(const std::filesystem::path& path, std::string_view text) try {
  using std::filesystem::perms;
  OutputFile file(path);
  std::filesystem::permissions(file.unfinished(), perms::owner_read | perms::owner_write);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
} catch (const std::filesystem::filesystem_error& e) {
  throw Error(path.string() + ": cannot be written: " + e.code().message());
}

}  // namespace carat
