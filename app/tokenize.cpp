// carat tokenize: text to token ids, and back.
#include <unistd.h>

#include <cstdio>

#include "app/commands.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/ids.h"
#include "app/join.h"
#include "app/open_model.h"
#include "app/options.h"
#include "app/output.h"
#include "app/text_input.h"
#include "engine/file/quote.h"

namespace carat {
namespace {

struct TokenizeOptions {
  ModelFlags model;
  bool ids = false, count = false, decode = false, special = false, bos = true;
};

std::vector<TokenId> encode(const TokenizeOptions& o, const Tokenizer& tokenizer, const std::string& text) {
  if (text.empty()) return {};
  std::vector<TokenId> ids = o.special ? tokenizer.encode_special(text) : tokenizer.encode(text);
  if (o.bos && tokenizer.add_bos()) ids.insert(ids.begin(), tokenizer.bos());
  return ids;
}

// Control tokens have no text of their own: they are spelled out only if that is asked for.
std::string decode(const TokenizeOptions& o, const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  if (!o.special) return tokenizer.decode(ids);
  std::string text;
  bool at_start = true;
  for (const TokenId id : ids) {
    if (tokenizer.is_control(id)) {
      text += tokenizer.spelling(id);
      at_start = true;
    } else {
      text += tokenizer.decode({&id, 1}, at_start);
      at_start = false;
    }
  }
  return text;
}

// A token a line: its id, and its text or, where it has none, its spelling.
std::string listing(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string text;
  for (const TokenId id : ids) {
    const std::string piece = tokenizer.piece(id);
    char number[16];
    std::snprintf(number, sizeof number, "%7d ", id);
    text.append(number).append(piece.empty() ? tokenizer.spelling(id) : quote(piece, piece.size())).append("\n");
  }
  return text;
}

int tokenize(const TokenizeOptions& o, Call& call) {
  if (o.ids + o.count + o.decode > 1) throw BadUsage("--ids, --count and --decode: one of them");
  const std::string path = o.model.take_path(call.words);
  const std::string text = call.words.empty() ? read_stdin(false) : join(call.words, " ");
  const ModelFiles files = open_files(path, o.model.tokenizer);
  const auto tokenizer = open_tokenizer(files);
  if (o.decode) {
    print(decode(o, *tokenizer, parse_ids(text, "the ids", tokenizer->size())));
    if (isatty(STDOUT_FILENO) == 1) print("\n");  // elsewhere the bytes are what they are
    return kExitDone;
  }
  const std::vector<TokenId> ids = encode(o, *tokenizer, text);
  if (o.count) {
    print(std::to_string(ids.size()) + "\n");
  } else if (o.ids) {
    print(join(ids, " ") + "\n");
  } else {
    print(listing(*tokenizer, ids));
  }
  return kExitDone;
}

}  // namespace

Command add_tokenize(CLI::App& app) {
  const auto o = std::make_shared<TokenizeOptions>();
  o->model.add_to(app);
  add_switch(app, "--ids", o->ids, "print the ids alone, on one line");
  add_switch(app, "--count", o->count, "print the number of tokens alone");
  add_switch(app, "--decode", o->decode, "the other way: ids to text");
  add_switch(app, "--special", o->special, "control tokens are read, and written, as they are spelled");
  add_switch(app, "--bos", o->bos, "begin with BOS where the model wants it (default: on)");
  return [o](Call& call) { return tokenize(*o, call); };
}

}  // namespace carat
