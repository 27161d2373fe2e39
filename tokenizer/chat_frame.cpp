#include "tokenizer/chat_frame.h"

#include <algorithm>
#include <array>
#include <utility>

namespace carat {
namespace {

enum class Shape : std::uint8_t { headed, instructions, raw };

// What templates of Qwen 2.5 and of those before it say if the conversation has no system message.
constexpr std::array kDefaultSystems = std::to_array<std::string_view>({
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a helpful assistant.",
});
constexpr std::string_view kThoughtEnd = "</think>";

// Without white space of ASCII at both ends.
std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kWhite = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(kWhite);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhite) - begin + 1);
}

std::string_view without_leading_lines(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  return text;
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::size_t role_index(Role role) { return static_cast<std::size_t>(role); }

// What a tool said is a user turn to ChatML, but not a question.
bool is_tool_response(std::string_view content) {
  return content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
}

// Where the turns begin that answer the last question; what lies before is history.
std::size_t last_question(std::span<const Message> messages) {
  for (std::size_t i = messages.size(); i-- > 0;) {
    if (messages[i].role == Role::user && !is_tool_response(messages[i].content)) return i;
  }
  return 0;
}

}  // namespace

// A row of the table of templates. A headed turn is: open, role, after_role, gap, content, close, after_close.
struct ChatFrame::Family {
  std::string_view name;
  Shape shape = Shape::headed;
  bool always_bos = false;                  // even where the file does not ask for it
  bool trims = false;                       // contents lose white space at both ends
  std::array<std::string_view, 3> roles{};  // by Role; no system: its text goes in front of the next user's
  std::string_view open{}, after_role{};    // control tokens; empty: none
  std::string_view gap{};                   // text
  std::string_view close{};                 // control token
  std::string_view after_close{};           // text
  std::array<std::string_view, 2> ends{};   // control tokens that end a reply, besides those every model ends at

  static const std::array<Family, 5> kAll;
};

// A new template of the headed shape is a row here.
const std::array<ChatFrame::Family, 5> ChatFrame::Family::kAll = {
    Family{.name = "gemma",
           .always_bos = true,
           .trims = true,
           .roles = {"", "user", "model"},
           .open = "<start_of_turn>",
           .gap = "\n",
           .close = "<end_of_turn>",
           .after_close = "\n",
           .ends = {"<end_of_turn>", "<eos>"}},
    Family{.name = "llama2", .shape = Shape::instructions, .always_bos = true, .trims = true, .ends = {"</s>"}},
    Family{.name = "llama3",
           .always_bos = true,
           .trims = true,
           .roles = {"system", "user", "assistant"},
           .open = "<|start_header_id|>",
           .after_role = "<|end_header_id|>",
           .gap = "\n\n",
           .close = "<|eot_id|>",
           .ends = {"<|eot_id|>", "<|eom_id|>"}},
    Family{.name = "chatml",
           .roles = {"system", "user", "assistant"},
           .open = "<|im_start|>",
           .gap = "\n",
           .close = "<|im_end|>",
           .after_close = "\n",
           .ends = {"<|im_end|>", "<|endoftext|>"}},
    Family{.name = "raw", .shape = Shape::raw},
};

// Collects control tokens and text. Neighbouring texts are joined before they are encoded, as the makers' own
// tokenizers see them: "user\n" and a content that begins with a line feed merge.
class ChatFrame::Writer {
 public:
  explicit Writer(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void text(std::string_view part) {
    plain_ += part;
    text_ += part;
  }

  // A vocabulary without that token reads it as text: a frame that was chosen by name for another model.
  void control(std::string_view spelling) {
    if (spelling.empty()) return;
    if (const auto id = tokenizer_.id_of(spelling)) {
      control(*id);
    } else {
      text(spelling);
    }
  }

  void control(TokenId id) {
    if (!tokenizer_.contains(id)) return;
    flush();
    ids_.push_back(id);
    text_ += tokenizer_.spelling(id);
    after_control_ = true;
  }

  // What is written next goes on within a text that has begun elsewhere.
  void continue_text() { after_control_ = false; }

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const std::string& written() const { return text_; }

  std::vector<TokenId> ids() && {
    flush();
    return std::move(ids_);
  }

 private:
  void flush() {
    if (plain_.empty()) return;
    const std::vector<TokenId> ids = tokenizer_.encode(plain_, after_control_);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    plain_.clear();
    after_control_ = false;
  }

  const Tokenizer& tokenizer_;
  std::vector<TokenId> ids_;
  std::string plain_;  // not encoded yet
  std::string text_;
  bool after_control_ = true;  // or at the start
};

std::vector<std::string_view> ChatFrame::names() {
  std::vector<std::string_view> names;
  for (const Family& family : Family::kAll) names.push_back(family.name);
  return names;
}

std::string_view ChatFrame::name() const { return family_->name; }

const ChatFrame::Family* ChatFrame::find_family(std::string_view name) {
  const auto family = std::ranges::find(Family::kAll, name, &Family::name);
  return family == Family::kAll.end() ? nullptr : &*family;
}

std::optional<ChatFrame> ChatFrame::by_name(std::string_view name, std::string_view chat_template) {
  const Family* const family = find_family(name);
  if (family == nullptr) return std::nullopt;
  ChatFrame frame(*family);
  frame.read_details(chat_template);
  return frame;
}

void ChatFrame::read_details(std::string_view chat_template) {
  if (family_->name == "llama3") dated_ = has(chat_template, "Cutting Knowledge Date");
  if (family_->name != "chatml") return;
  const auto system = std::ranges::find_if(kDefaultSystems, [&](auto text) { return has(chat_template, text); });
  if (system != kDefaultSystems.end()) default_system_ = *system;
  think_switch_ = has(chat_template, "enable_thinking");
  strips_thoughts_ = think_switch_ || has(chat_template, kThoughtEnd);
  // A line feed in a template is mostly written as an escape.
  opens_with_thought_ = !think_switch_ && (has(chat_template, "<|im_start|>assistant\\n<think>") ||
                                           has(chat_template, "<|im_start|>assistant\n<think>"));
}

ChatFrame::Choice ChatFrame::choose(std::string_view chat_template, std::string_view architecture,
                                    const Tokenizer& tokenizer) {
  const auto choice = [chat_template](std::string_view name, Choice::Basis basis) {
    return Choice{*by_name(name, chat_template), basis};
  };
  const auto in_template = [chat_template](std::string_view part) { return has(chat_template, part); };
  using Basis = Choice::Basis;

  // The order matters: the first match wins, as in the program that made most of these files.
  if (in_template("<|im_start|>")) {
    return in_template("<|im_sep|>") ? choice("raw", Basis::none) : choice("chatml", Basis::chat_template);
  }
  if (chat_template.starts_with("mistral") || in_template("[INST]")) {
    const bool is_mistral = in_template("[SYSTEM_PROMPT]") || in_template("' [INST] ' + system_message") ||
                            in_template("[AVAILABLE_TOOLS]") || chat_template.starts_with("mistral");
    return is_mistral ? choice("raw", Basis::none) : choice("llama2", Basis::chat_template);
  }
  if (in_template("<|assistant|>") || in_template("<|user|>")) return choice("raw", Basis::none);
  if (in_template("<start_of_turn>")) return choice("gemma", Basis::chat_template);
  if (in_template("<|start_header_id|>") && in_template("<|end_header_id|>")) {
    return choice("llama3", Basis::chat_template);
  }
  if (!chat_template.empty()) return choice("raw", Basis::none);

  const auto knows = [&tokenizer](std::string_view spelling) { return tokenizer.id_of(spelling).has_value(); };
  if (architecture.starts_with("gemma") && knows("<start_of_turn>")) return choice("gemma", Basis::architecture);
  if (architecture.starts_with("qwen") && knows("<|im_start|>")) {
    Choice guess = choice("chatml", Basis::architecture);
    guess.frame.think_switch_ = guess.frame.strips_thoughts_ = architecture.starts_with("qwen3");
    return guess;
  }
  if (architecture == "llama" && knows("<|eot_id|>")) return choice("llama3", Basis::architecture);
  return choice("raw", Basis::none);
}

std::vector<TokenId> ChatFrame::render(const Tokenizer& tokenizer, std::span<const Message> messages,
                                       const RenderOptions& options) const {
  Writer writer(tokenizer);
  write_turns(writer, messages, false, options);
  return std::move(writer).ids();
}

std::vector<TokenId> ChatFrame::continuation(const Tokenizer& tokenizer, std::span<const Message> messages,
                                             const RenderOptions& options) const {
  Writer writer(tokenizer);
  write_turns(writer, messages, true, options);
  return std::move(writer).ids();
}

std::string ChatFrame::text(const Tokenizer& tokenizer, std::span<const Message> messages,
                            const RenderOptions& options) const {
  Writer writer(tokenizer);
  write_turns(writer, messages, false, options);
  return writer.written();
}

std::vector<TokenId> ChatFrame::stops(const Tokenizer& tokenizer) const {
  std::vector<TokenId> stops(tokenizer.stops().begin(), tokenizer.stops().end());
  for (const std::string_view end : family_->ends) {
    const auto id = end.empty() ? std::nullopt : tokenizer.id_of(end);
    if (id && tokenizer.is_control(*id)) stops.push_back(*id);
  }
  std::ranges::sort(stops);
  stops.erase(std::unique(stops.begin(), stops.end()), stops.end());  // clang 14 cannot do std::ranges::unique
  return stops;
}

void ChatFrame::write_turns(Writer& writer, std::span<const Message> messages, bool continues,
                            const RenderOptions& options) const {
  const Tokenizer& tokenizer = writer.tokenizer();
  if (continues) {
    writer.continue_text();
    writer.control(family_->close);
    writer.text(family_->after_close);
  } else if (family_->shape != Shape::instructions && (family_->always_bos || tokenizer.add_bos())) {
    writer.control(tokenizer.bos());
  }
  switch (family_->shape) {
    case Shape::headed:
      write_headed(writer, messages, !continues, options);
      break;
    case Shape::instructions:
      if (continues) writer.control(tokenizer.eos());
      write_instructions(writer, messages);
      break;
    case Shape::raw:
      for (const Message& message : messages) writer.text(message.content);
      break;
  }
}

// Gemma, Llama 3, ChatML. `begins`: no turn comes before these.
void ChatFrame::write_headed(Writer& writer, std::span<const Message> messages, bool begins,
                             const RenderOptions& options) const {
  const auto open = [&writer, this](Role role) {
    writer.control(family_->open);
    writer.text(family_->roles[role_index(role)]);
    writer.control(family_->after_role);
    writer.text(family_->gap);
  };
  const auto turn = [&writer, &open, this](Role role, std::string_view content) {
    open(role);
    writer.text(content);
    writer.control(family_->close);
    writer.text(family_->after_close);
  };
  const auto fit = [this](std::string_view content) { return family_->trims ? trimmed(content) : content; };

  const bool has_system_role = !family_->roles[role_index(Role::system)].empty();
  const bool has_system = !messages.empty() && messages.front().role == Role::system;
  if (begins && dated_) {
    turn(Role::system, opening_text(messages, options));
    if (has_system) messages = messages.subspan(1);
  } else if (begins && !default_system_.empty() && !has_system) {
    turn(Role::system, default_system_);
  }

  const std::size_t question = last_question(messages);
  std::string before_user;  // system text, where no role has it
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto& [role, content] = messages[i];
    if (role == Role::system && !has_system_role) {
      before_user.append(content).append("\n\n");
    } else if (role == Role::user) {
      turn(role, std::exchange(before_user, {}).append(fit(content)));
    } else if (role == Role::assistant) {
      turn(role, fit(reply_content(content, i < question, i + 1 == messages.size())));
    } else {
      turn(role, fit(content));
    }
  }
  if (!before_user.empty()) turn(Role::user, trimmed(before_user));

  if (!options.generation_prompt) return;
  open(Role::assistant);
  if (opens_with_thought_) writer.text("<think>\n");
  if (think_switch_ && !options.think) writer.text("<think>\n\n</think>\n\n");
}

// Llama 2: ordinary text between BOS and EOS, a question and its answer at a time.
void ChatFrame::write_instructions(Writer& writer, std::span<const Message> messages) const {
  std::string system;
  bool is_open = false;  // a question stands without its answer
  for (const auto& [role, content] : messages) {
    if (role == Role::system) {
      system.append("<<SYS>>\n").append(content).append("\n<</SYS>>\n\n");
    } else if (role == Role::user) {
      writer.control(writer.tokenizer().bos());
      writer.text("[INST] ");
      writer.text(trimmed(std::exchange(system, {}).append(content)));
      writer.text(" [/INST]");
      is_open = true;
    } else {
      if (!is_open) writer.control(writer.tokenizer().bos());
      writer.text(" ");
      writer.text(trimmed(content));
      writer.text(" ");
      writer.control(writer.tokenizer().eos());
      is_open = false;
    }
  }
  if (system.empty()) return;
  writer.control(writer.tokenizer().bos());
  writer.text("[INST] " + std::string(trimmed(system)) + " [/INST]");
}

// Llama 3.1's system turn (prompts.md, section 4).
std::string ChatFrame::opening_text(std::span<const Message> messages, const RenderOptions& options) const {
  std::string text = "Cutting Knowledge Date: December 2023\nToday Date: " + options.date + "\n\n";
  if (!messages.empty() && messages.front().role == Role::system) text += trimmed(messages.front().content);
  return text;
}

// What a template keeps of a reply (prompts.md, section 5.1).
std::string ChatFrame::reply_content(std::string_view content, bool is_history, bool is_last) const {
  if (!strips_thoughts_) return std::string(content);
  std::string_view thought;
  const std::size_t end = content.rfind(kThoughtEnd);
  if (end != std::string_view::npos) {
    thought = content.substr(0, end);
    const std::size_t begin = thought.rfind("<think>");
    if (begin != std::string_view::npos) thought.remove_prefix(begin + std::string_view("<think>").size());
    thought = without_leading_lines(thought);
    while (thought.ends_with('\n')) thought.remove_suffix(1);
    content = without_leading_lines(content.substr(end + kThoughtEnd.size()));
  }
  if (is_history || !think_switch_ || (thought.empty() && !is_last)) return std::string(content);
  return std::string("<think>\n").append(thought).append("\n</think>\n\n").append(without_leading_lines(content));
}

}  // namespace carat
