#include "tokenizer/constraint/constraint_matcher.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <random>
#include <string>

#include "test/support/catch.h"
#include "test/tokenizer/tiny_vocabulary.h"
#include "tokenizer/constraint/constraint.h"

namespace carat {
namespace {

using test::TinyVocabulary;

// All bytes, and tokens that span the parts of what is written.
std::shared_ptr<const Tokenizer> vocabulary() {
  TinyVocabulary tiny =
      TinyVocabulary::sentencepiece({"\":",  "\": \"", "\",\"", "{\"",  "\"}",  "}]", "abc",  "ab",  "bc",  "12",
                                     "-1",   "a1",     "true",  "\\\"", "é",    "▁a", "a▁",   "▁▁",  "1.5", "0.",
                                     "null", "\",▁\"", "[[",    "],",   "x\"}", "😀",  "zz\"", "a-b", "\\n", "▁\""});
  return tiny.tokenizer();
}

// The independent judge. Negative: the pattern is none.
int matches(const std::string& pattern, const std::string& text) {
  int error = 0;
  PCRE2_SIZE where = 0;
  pcre2_code* const code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                         PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &where, nullptr);
  if (code == nullptr) return -1;
  pcre2_match_data* const data = pcre2_match_data_create(1, nullptr);
  const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data, nullptr);
  pcre2_match_data_free(data);
  pcre2_code_free(code);
  return found >= 0 ? 1 : 0;
}

using Random = std::mt19937;

std::size_t pick(Random& random, std::size_t count) { return random() % count; }

std::string random_regex(Random& random, int depth) {
  constexpr std::array kAtoms = {"a",  "b",    "é",      "\\d", "\\w", "[a-c]", "[^a]", ".",     "\\s", "\\.",
                                 "\"", "\\\\", "[\\w-]", "\\D", "😀",   "[à-ÿ]", "ab",   "\\x41", "12",  "[^\\s\\d]"};
  constexpr std::array kRepeats = {"*", "+", "?", "{2}", "{1,3}", "{2,}", "{0,40}", "*?", "{3,90}"};
  std::string text;
  for (std::size_t parts = 1 + pick(random, 3); parts > 0; --parts) {
    const bool groups = depth > 0 && pick(random, 3) == 0;
    text += groups ? "(" + random_regex(random, depth - 1) + "|" + random_regex(random, depth - 1) + ")"
                   : std::string("(?:") + kAtoms[pick(random, kAtoms.size())] + ")";
    if (pick(random, 2) == 0) text += kRepeats[pick(random, kRepeats.size())];
  }
  return text;
}

// Writes tokens at random among those that are allowed; false if that came to no end.
bool write_at_random(ConstraintMatcher& matcher, const Tokenizer& tokenizer, Random& random, std::string& text) {
  matcher.reset(false);
  for (int tokens = 0; tokens < 300; ++tokens) {
    const TokenSet& allowed = matcher.allowed();
    if (matcher.complete() && (allowed.empty() || pick(random, 4) == 0)) return true;
    std::vector<TokenId> ids;
    for (std::size_t i = 0; i < tokenizer.size(); ++i) {
      if (allowed.contains(static_cast<TokenId>(i))) ids.push_back(static_cast<TokenId>(i));
    }
    REQUIRE_FALSE(ids.empty());
    const TokenId id = ids[pick(random, ids.size())];
    text += tokenizer.piece(id);
    matcher.accept(id);
  }
  return matcher.complete();
}

// Whether anything can follow, found by following the bytes one by one from the start.
bool may_begin(const Automaton& automaton, const std::string& text) {
  Runs runs(automaton);
  Runs::SetId set = runs.set_of({{automaton.start(), Runs::kBottom}}, automaton.accepts_nothing());
  for (const char byte : text) set = runs.next(set, static_cast<std::uint8_t>(byte));
  return set != Runs::kNone;
}

TEST_CASE("regex: what random tokens write under 200 random patterns matches them", "[constraint]") {
  const auto tokenizer = vocabulary();
  const TokenTrie trie(*tokenizer);
  Random random(5);
  int written = 0, judged = 0;
  while (judged < 200) {
    const std::string pattern = random_regex(random, 2);
    INFO(pattern);
    if (matches(pattern, "") < 0) continue;  // too large for the judge
    ++judged;
    const Automaton automaton = regex_constraint(pattern);
    ConstraintMatcher matcher(automaton, trie);
    for (int answer = 0; answer < 3; ++answer) {
      std::string text;
      if (!write_at_random(matcher, *tokenizer, random, text)) continue;
      ++written;
      INFO(text);
      CHECK(matches(pattern, text) == 1);
      CHECK(accepts(automaton, text));
    }
  }
  CHECK(written > 400);
}

TEST_CASE("masks: a token is allowed exactly if its bytes lead on, in every state on the way", "[constraint]") {
  const auto tokenizer = vocabulary();
  const TokenTrie trie(*tokenizer);
  Random random(6);
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"string","maxLength":12},"list":{"type":"array","maxItems":3,)"
      R"("items":{"type":"string","pattern":"^[a-c]{1,30}$"}},"n":{"type":"number","minimum":-1.5},"any":true}})";
  const std::vector<Automaton> automata = {
      json_schema_constraint(schema), json_object_constraint(),
      gbnf_constraint("root ::= \"a\" root \"b\" | \"12\" | item{0,60} \"zz\"\nitem ::= [a-c] | \"é\""),
      regex_constraint("([ab]|1){0,30}c*")};
  for (const Automaton& automaton : automata) {
    ConstraintMatcher matcher(automaton, trie);
    for (int answer = 0; answer < 4; ++answer) {
      matcher.reset(false);
      std::string text;
      for (int step = 0; step < 25; ++step) {
        std::vector<TokenId> ids;
        const TokenSet allowed = matcher.allowed();
        for (std::size_t i = 0; i < tokenizer->size(); ++i) {
          const auto id = static_cast<TokenId>(i);
          const std::string piece = tokenizer->piece(id);
          const bool leads_on = !piece.empty() && may_begin(automaton, text + piece);
          if (leads_on != allowed.contains(id)) FAIL_CHECK("after " << text << ": " << piece);
          if (leads_on) ids.push_back(id);
        }
        if (ids.empty()) break;
        const TokenId id = ids[pick(random, ids.size())];
        text += tokenizer->piece(id);
        matcher.accept(id);
      }
    }
  }
}

TEST_CASE("the first token's space, which is not shown, does not count", "[constraint]") {
  const auto tokenizer = vocabulary();
  const TokenTrie trie(*tokenizer);
  const Automaton automaton = regex_constraint("a12");
  ConstraintMatcher matcher(automaton, trie);
  const TokenId spaced = *tokenizer->id_of("▁a"), twelve = *tokenizer->id_of("12");
  CHECK_FALSE(matcher.allowed().contains(spaced));
  matcher.reset(true);
  CHECK(matcher.allowed().contains(spaced));
  CHECK_FALSE(matcher.allowed().contains(*tokenizer->id_of("▁▁")));
  matcher.accept(spaced);
  CHECK_FALSE(matcher.complete());
  CHECK(matcher.allowed().contains(twelve));
  matcher.accept(twelve);
  CHECK(matcher.complete());
  CHECK(matcher.allowed().empty());
}

TEST_CASE("control tokens and ends are never allowed, and a token that is not leads nowhere", "[constraint]") {
  const auto tokenizer = vocabulary();
  const std::vector<TokenId> ends = {*tokenizer->id_of("abc")};
  const TokenTrie trie(*tokenizer, ends);
  const Automaton automaton = regex_constraint("[^x]*");
  ConstraintMatcher matcher(automaton, trie);
  CHECK_FALSE(matcher.allowed().contains(tokenizer->eos()));
  CHECK_FALSE(matcher.allowed().contains(tokenizer->bos()));
  CHECK_FALSE(matcher.allowed().contains(ends[0]));
  CHECK(matcher.allowed().contains(*tokenizer->id_of("ab")));
  CHECK(matcher.complete());
  matcher.accept(*tokenizer->id_of("x\"}"));
  CHECK_FALSE(matcher.complete());
  CHECK(matcher.allowed().empty());
}

TEST_CASE("nesting and counting go on for as long as an answer may", "[constraint]") {
  const auto tokenizer = vocabulary();
  const TokenTrie trie(*tokenizer);
  const Automaton automaton = json_schema_constraint("true");
  ConstraintMatcher matcher(automaton, trie);
  const TokenId open = *tokenizer->id_of("[[");
  for (int i = 0; i < 20'000; ++i) {
    REQUIRE(matcher.allowed().contains(open));
    matcher.accept(open);
  }
  CHECK_FALSE(matcher.complete());
}

}  // namespace
}  // namespace carat
