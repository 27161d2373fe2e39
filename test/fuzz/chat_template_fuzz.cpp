// Chat templates of strangers: recognised or not, no text of a user becomes a control token by them.
#include <cstdlib>

#include "test/fuzz/target.h"
#include "tokenizer/chat_frame.h"

namespace carat::fuzz {
namespace {

std::unique_ptr<const Tokenizer> make() {
  static const std::vector<std::string> pieces = [] {
    std::vector<std::string> all = {"<|im_start|>",  "<|im_end|>", "<start_of_turn>",
                                    "<end_of_turn>", "<|eot_id|>", "<|endoftext|>",
                                    "<think>",       "</think>",   "<|start_header_id|>"};
    for (char c = '!'; c <= '~'; ++c) all.emplace_back(1, c);
    all.emplace_back("ab");
    return all;
  }();
  Vocabulary vocabulary;
  vocabulary.algorithm = Vocabulary::Algorithm::byte_bpe;
  vocabulary.pre = "qwen2";
  vocabulary.pieces.assign(pieces.begin(), pieces.end());
  vocabulary.merges = {"a b"};
  vocabulary.kinds.assign(pieces.size(), PieceKind::normal);
  for (std::size_t i = 0; i < 6; ++i) vocabulary.kinds[i] = PieceKind::control;
  return make_tokenizer(std::move(vocabulary));
}

std::size_t control_tokens(const Tokenizer& tokenizer, const ChatFrame& frame, std::string content) {
  std::size_t count = 0;
  for (const TokenId id : frame.render(tokenizer, std::vector<Message>{{Role::user, std::move(content)}}))
    count += tokenizer.is_control(id);
  return count;
}

}  // namespace

void run(std::span<const std::byte> input) {
  static const std::unique_ptr<const Tokenizer> tokenizer = make();
  const std::string text(text_of(input));
  for (const char* architecture : {"qwen2", "gemma3", "llama", ""}) {
    const ChatFrame frame = ChatFrame::choose(text, architecture, *tokenizer).frame;
    if (control_tokens(*tokenizer, frame, text) != control_tokens(*tokenizer, frame, "plain")) std::abort();
    frame.text(*tokenizer, std::vector<Message>{{Role::system, text}, {Role::user, text}});
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const char* text :
       {"{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}",
        "{{ bos_token }}<start_of_turn>user\n{{ content }}<end_of_turn>\n", "<|start_header_id|>user<|end_header_id|>",
        "[INST] <<SYS>>{{ system }}<</SYS>> {{ user }} [/INST]",
        "<|im_start|>{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>{% endif %}",
        "{%- set date = strftime_now('%d %b %Y') %}Cutting Knowledge Date<|start_header_id|><|eot_id|>"})
    all.push_back(bytes_of(text));
  return all;
}

Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  constexpr std::string_view kParts[] = {"<|im_start|>", "<|im_end|>", "<think>", "{% if", "%}", "<end_of_turn>", "{{"};
  return with_part(input, kParts, random);
}

}  // namespace carat::fuzz
