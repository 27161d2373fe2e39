// Byte-level vocabularies and what users type: the input is four texts with NULs between: the split rule's name, the
// pieces, the merges (both a line each), and the text.
#include <array>

#include "test/fuzz/target.h"
#include "tokenizer/chat_frame.h"
#include "tokenizer/tokenizer.h"

namespace carat::fuzz {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

void run(std::span<const std::byte> input) {
  const auto parts = split(text_of(input), '\0');
  if (parts.size() < 4) return;
  try {
    Vocabulary vocabulary;
    vocabulary.algorithm = Vocabulary::Algorithm::byte_bpe;
    vocabulary.pre = parts[0];
    vocabulary.pieces = split(parts[1], '\n');
    vocabulary.merges = split(parts[2], '\n');
    const auto tokenizer = make_tokenizer(std::move(vocabulary));
    tokenizer->decode(tokenizer->encode(parts[3]));
    tokenizer->decode(tokenizer->encode_special(parts[3]));
    const ChatFrame frame = ChatFrame::choose(parts[3], "qwen2", *tokenizer).frame;
    frame.render(*tokenizer, std::vector<Message>{{Role::user, std::string(parts[3])}});
  } catch (const BadVocabulary&) {
  }
}

std::vector<Bytes> seeds() {
  using namespace std::string_literals;
  std::vector<Bytes> all;
  for (const char* pre : {"qwen2", "llama-bpe", "gpt-2", "default"})
    all.push_back(
        bytes_of(pre + "\0a\nb\nab\n\xc4\xa0\n<|im_start|>\n<|im_end|>\0a b\0ab a'll 12345 <|im_end|>\n\xff"s));
  return all;
}

// Joins a part of one piece of the input to another place of it.
Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  if (input.size() < 4) return {};
  Bytes changed(input.begin(), input.end());
  const std::size_t from = random() % input.size(), count = random() % std::min<std::size_t>(16, input.size() - from);
  const auto part = input.subspan(from, count);
  changed.insert(changed.begin() + static_cast<long>(random() % changed.size()), part.begin(), part.end());
  return changed;
}

}  // namespace carat::fuzz
