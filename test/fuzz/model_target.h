// A model file of a stranger, taken as far as it lets itself be taken: opened, bound, given three tokens and its own
// tokenizer a text. What a hostile shape can reach, it reaches here.
#pragma once
#include <array>

#include "app/open_model.h"
#include "engine/error.h"
#include "engine/session.h"
#include "test/fuzz/target.h"

namespace carat::fuzz {

inline void run_three_tokens(const ModelFile& file, std::size_t which) {
  const auto isas = usable_isas();
  const Model model = load_model(file, make_cpu_backend({1, std::string(isas[which % isas.size()])}));
  Session session(model, {4, 2});
  const auto last = static_cast<TokenId>(model.config.vocabulary - 1);
  const std::array<TokenId, 3> ids = {0, last, last / 2};
  session.feed(ids);
}

inline void run_tokenizer(const ModelFiles& files) {
  const auto tokenizer = open_tokenizer(files);
  const ChatFrame frame = choose_frame(files.file, *tokenizer).frame;
  const std::vector<TokenId> ids =
      frame.render(*tokenizer, std::vector<Message>{{Role::system, "be brief"}, {Role::user, "Hi <eos> \xff 123"}});
  tokenizer->decode(ids);
}

// Open is a reader of a file in memory. A file too small for a network may still hold a tokenizer.
template <class Open>
void run_model(std::span<const std::byte> input, Open open) {
  try {
    ModelFile file = open(input, "input");
    try {
      run_three_tokens(file, input.size());
    } catch (const Error&) {
    }
    run_tokenizer({std::move(file), MappedFile()});
  } catch (const Error&) {
  }
}

}  // namespace carat::fuzz
