// How a conversation becomes tokens: the turn templates of instruction-tuned models.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace carat {

enum class Role : std::uint8_t { system, user, assistant };

struct Message {
  Role role;
  std::string content;
};

struct RenderOptions {
  bool generation_prompt = true;     // end with the opening of a reply
  bool think = true;                 // false: where the template has that switch, the reply opens with an empty thought
  std::string date = "26 Jul 2024";  // of Llama 3.1's "Today Date"; this is its template's default
};

// One turn template (prompts.md). Its control tokens are written by id and everything else is encoded as plain text, so
// that nothing a user types becomes a control token.
class ChatFrame {
 public:
  // A frame, and what speaks for it.
  struct Choice;

  // "gemma", "llama2", "llama3", "chatml" and "raw" (no turns: contents one after another).
  static std::vector<std::string_view> names();

  // The frame of that name, with what `chat_template`, the Jinja text of the model's file, says about its details.
  static std::optional<ChatFrame> by_name(std::string_view name, std::string_view chat_template = {});

  // The frame of a model: recognised in its template if it has one, else guessed from its architecture (prompts.md,
  // section 6).
  static Choice choose(std::string_view chat_template, std::string_view architecture, const Tokenizer& tokenizer);

  std::string_view name() const;

  // The whole conversation, with BOS once in front where the model wants it.
  std::vector<TokenId> render(const Tokenizer& tokenizer, std::span<const Message> messages,
                              const RenderOptions& options = {}) const;

  // What comes after a reply that the model has written, without its end token: that token, whatever the reply stopped
  // at, then `messages`. Thoughts of the reply stay where they are.
  std::vector<TokenId> continuation(const Tokenizer& tokenizer, std::span<const Message> messages,
                                    const RenderOptions& options = {}) const;

  // render() as text, control tokens spelled out: to be read, not to be encoded.
  std::string text(const Tokenizer& tokenizer, std::span<const Message> messages,
                   const RenderOptions& options = {}) const;

  // What a reply ends at: the tokenizer's stops() and the template's own end of turn. Ascending.
  std::vector<TokenId> stops(const Tokenizer& tokenizer) const;

  // Whether RenderOptions::think changes anything.
  bool has_think_switch() const { return think_switch_; }

  // Whether render() opens the thoughts of the reply, so that it begins within them.
  bool opens_with_thought() const { return opens_with_thought_; }

 private:
  struct Family;
  class Writer;

  explicit ChatFrame(const Family& family) : family_(&family) {}
  static const Family* find_family(std::string_view name);
  void read_details(std::string_view chat_template);

  void write_turns(Writer& writer, std::span<const Message> messages, bool continues,
                   const RenderOptions& options) const;
  void write_headed(Writer& writer, std::span<const Message> messages, bool begins, const RenderOptions& options) const;
  void write_instructions(Writer& writer, std::span<const Message> messages) const;
  std::string reply_content(std::string_view content, bool is_history, bool is_last) const;
  std::string opening_text(std::span<const Message> messages, const RenderOptions& options) const;

  const Family* family_;
  std::string_view default_system_;  // Qwen up to 2.5: what to say if no system message does
  bool dated_ = false;               // Llama 3.1 and later: a system turn with dates, always
  bool strips_thoughts_ = false;     // Qwen 3: earlier replies lose what they thought
  bool think_switch_ = false;        // Qwen 3: thinking can be turned off
  bool opens_with_thought_ = false;  // QwQ, Qwen 3 "Thinking": the reply's <think> is part of the prompt
};

struct ChatFrame::Choice {
  enum class Basis : std::uint8_t {
    chat_template,  // recognised
    architecture,   // no template in the file: guessed
    none,           // a template that is not known, or nothing to go by: the frame is "raw"
  };
  ChatFrame frame;
  Basis basis;
};

}  // namespace carat
