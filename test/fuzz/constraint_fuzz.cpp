// Grammars, expressions and schemas of strangers, and an answer that is held to them: the input's first byte says which
// of the three it is; a NUL ends its text, and each byte behind it picks one of the tokens that may come next.
#include <algorithm>
#include <cstdlib>

#include "test/fuzz/target.h"
#include "tokenizer/constraint/constraint.h"
#include "tokenizer/constraint/constraint_matcher.h"

namespace carat::fuzz {
namespace {

constexpr std::size_t kTokens = 64;  // of an answer

// All printable characters of ASCII, a line end, halves of a two-byte character, and some words.
const Tokenizer& tokenizer() {
  static const std::vector<std::string> pieces = [] {
    std::vector<std::string> all;
    for (char c = '!'; c <= '~'; ++c) all.emplace_back(1, c);
    for (const char* piece : {"\xc4\xa0", "\xc4\x8a", "\xc3\x83", "\xc2\xa9", "tr", "ue", "{\"", "\":", "12"})
      all.emplace_back(piece);
    return all;
  }();
  static const auto made = [] {
    Vocabulary vocabulary;
    vocabulary.algorithm = Vocabulary::Algorithm::byte_bpe;
    vocabulary.pre = "gpt-2";
    vocabulary.pieces.assign(pieces.begin(), pieces.end());
    vocabulary.kinds.assign(pieces.size(), PieceKind::normal);
    vocabulary.merges = {"t r", "u e"};
    return make_tokenizer(std::move(vocabulary));
  }();
  return *made;
}

Automaton make(std::string_view text, unsigned kind) {
  return kind == 0 ? gbnf_constraint(text) : kind == 1 ? regex_constraint(text) : json_schema_constraint(text);
}

// What was allowed all the way and is complete has to be accepted as a whole, too.
void follow(const Automaton& automaton, std::string_view choices) {
  static const TokenTrie trie(tokenizer());
  ConstraintMatcher matcher(automaton, trie);
  matcher.reset(false);
  std::string answer;
  std::vector<TokenId> allowed;
  for (const char choice : choices.substr(0, kTokens)) {
    const TokenSet& set = matcher.allowed();
    allowed.clear();
    for (std::size_t id = 0; id < tokenizer().size(); ++id)
      if (set.contains(static_cast<TokenId>(id))) allowed.push_back(static_cast<TokenId>(id));
    if (allowed.empty()) break;
    const TokenId token = allowed[static_cast<unsigned char>(choice) % allowed.size()];
    matcher.accept(token);
    answer += tokenizer().piece(token);
  }
  if (matcher.complete() != accepts(automaton, answer)) std::abort();
}

}  // namespace

void run(std::span<const std::byte> input) {
  if (input.empty()) return;
  const std::string_view text = text_of(input.subspan(1));
  const std::size_t end = std::min(text.find('\0'), text.size());
  try {
    const Automaton automaton = make(text.substr(0, end), static_cast<unsigned>(input[0]) % 3);
    follow(automaton, end < text.size() ? text.substr(end + 1) : std::string_view());
  } catch (const BadConstraint&) {
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  const auto add = [&all](char kind, std::string_view text) {
    std::string seed(1, kind);
    seed.append(text).append(1, '\0').append("answer me this, in forty tokens of any kind");
    all.push_back(bytes_of(seed));
  };
  add(0, "root ::= \"yes\" | \"no\" [.!]*\n");
  add(0, "root ::= item (\",\" item){0,3} # a list\nitem ::= [a-z]+ | \"(\" root \")\"\n");
  add(1, "^(\\d{4}-\\d{2}-\\d{2}|[a-f]+?.*)$");
  add(1, "(a|b)*c{2,5}[^x-z\\s]");
  add(2, R"({"type":"object","properties":{"a":{"type":"integer","minimum":-3,"maximum":120},"b":{"enum":["x",1]}},)"
         R"("required":["a"],"additionalProperties":false})");
  add(2, R"({"$defs":{"t":{"type":"array","items":{"$ref":"#/$defs/t"},"maxItems":2}},"$ref":"#/$defs/t"})");
  add(2, R"({"anyOf":[{"type":"string","pattern":"^a+$"},{"type":"string","minLength":2,"maxLength":4},)"
         R"({"type":"number","exclusiveMinimum":0.5,"multipleOf":0.25},{"type":"string","format":"date"}]})");
  return all;
}

Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  constexpr std::string_view kParts[] = {"{2,3}",
                                         "(",
                                         ")",
                                         "[^",
                                         "]",
                                         "|",
                                         "*",
                                         "::=",
                                         "root",
                                         "\\u{1F600}",
                                         "\"type\":",
                                         "\"anyOf\":[",
                                         "{}",
                                         "\"$ref\":\"#\"",
                                         "\"pattern\":\"",
                                         "9999999999",
                                         "\"items\":",
                                         "\"not\":",
                                         "\"maxLength\":"};
  if (input.empty()) return {};
  std::string text(text_of(input));
  const std::size_t at = 1 + random() % text.size();
  if (random() % 2 == 0) {
    text.insert(at, one_of<std::string_view>(kParts, random));
  } else {
    const std::size_t from = random() % text.size();
    text.insert(at, text.substr(from, random() % 16));
  }
  return bytes_of(text);
}

}  // namespace carat::fuzz
