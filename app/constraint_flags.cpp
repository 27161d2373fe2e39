#include "app/constraint_flags.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/failure.h"
#include "app/flags.h"
#include "app/text_input.h"
#include "tokenizer/constraint/constraint.h"

namespace carat {
namespace {

// What is wrong with a constraint is said behind the name of the flag, and of the file if it is in one.
template <class Make>
std::unique_ptr<Automaton> make_named(const std::string& name, const Make& make) {
  try {
    return std::make_unique<Automaton>(make());
  } catch (const BadConstraint& e) {
    throw ConstraintNotMet(name + ": " + e.what());
  }
}

}  // namespace

AnswerConstraint::AnswerConstraint(Automaton automaton, const Tokenizer& tokenizer, std::vector<TokenId> ends)
    : automaton_(std::move(automaton)),
      tokenizer_(tokenizer),
      ends_(std::move(ends)),
      trie_(tokenizer, ends_),
      matcher_(automaton_, trie_) {}

void AnswerConstraint::begin(bool begins_text) { matcher_.reset(begins_text && tokenizer_.add_space_prefix()); }

// A grammar that can be read in too many ways gives up: the answer ends where it is, unmet.
TokenFilter::Next AnswerConstraint::mask(std::span<float> logits) {
  try {
    const TokenSet& allowed = matcher_.allowed();
    if (allowed.empty()) return matcher_.complete() ? Next::end : Next::none;
    keep(allowed, logits);
  } catch (const BadConstraint&) {
    return Next::none;
  }
  return Next::tokens;
}

void AnswerConstraint::keep(const TokenSet& allowed, std::span<float> logits) const {
  std::vector<std::pair<std::size_t, float>> ends;
  for (const TokenId id : ends_) {
    const auto place = static_cast<std::size_t>(id);
    if (matcher_.complete() && place < logits.size()) ends.emplace_back(place, logits[place]);
  }
  const auto words = allowed.words();
  for (std::size_t begin = 0; begin < logits.size(); begin += 64) {
    const std::uint64_t word = begin / 64 < words.size() ? words[begin / 64] : 0;
    const std::size_t count = std::min<std::size_t>(64, logits.size() - begin);
    if (word == ~std::uint64_t{0}) continue;
    for (std::size_t i = 0; i < count; ++i) {
      if ((word >> i & 1) == 0) logits[begin + i] = -HUGE_VALF;
    }
  }
  for (const auto& [place, logit] : ends) logits[place] = logit;
}

void AnswerConstraint::accept(TokenId token) {
  try {
    matcher_.accept(token);
  } catch (const BadConstraint&) {  // nothing is allowed from here on
  }
}

void ConstraintFlags::add_to(CLI::App& app) {
  options_ = {
      add_text(app, "-j,--json-schema", json_schema, "JSON", "write JSON that this schema describes"),
      add_text(app, "--json-schema-file", json_schema_file, "FILE", "the same, from a file (also -jf)"),
      add_text(app, "--format", format, "json", "write a JSON object"),
      add_text(app, "--grammar", grammar, "TEXT", "write what this grammar (GBNF) allows"),
      add_text(app, "--grammar-file", grammar_file, "FILE", "the same, from a file"),
      add_text(app, "--regex", regex, "PATTERN", "write what this regular expression matches"),
  };
  for (CLI::Option* const option : options_) option->group(option == options_.front() ? option->get_group() : kMore);
}

bool ConstraintFlags::given() const {
  return std::ranges::any_of(options_, [](const CLI::Option* option) { return option->count() > 0; });
}

std::string_view ConstraintFlags::kind() const {
  for (const CLI::Option* const option : options_) {
    if (option->count() == 0) continue;
    if (option->check_name("--format")) return "json";
    if (option->check_name("--regex")) return "regex";
    return option->get_name().starts_with("--grammar") ? "grammar" : "json_schema";
  }
  return {};
}

std::unique_ptr<Automaton> ConstraintFlags::automaton() const {
  const CLI::Option* given = nullptr;
  for (const CLI::Option* const option : options_) {
    if (option->count() == 0) continue;
    if (given != nullptr) {
      throw BadUsage(given->get_name() + " and " + option->get_name() + ": an answer can meet one constraint only");
    }
    given = option;
  }
  if (given == nullptr) return nullptr;
  const auto is = [given](const char* name) { return given->check_name(name); };
  if (is("--json-schema")) return make_named("--json-schema", [this] { return json_schema_constraint(json_schema); });
  if (is("--grammar")) return make_named("--grammar", [this] { return gbnf_constraint(grammar); });
  if (is("--regex")) return make_named("--regex", [this] { return regex_constraint(regex); });
  if (is("--json-schema-file")) {
    return make_named(source_name(json_schema_file),
                      [this] { return json_schema_constraint(read_text(json_schema_file)); });
  }
  if (is("--grammar-file")) {
    return make_named(source_name(grammar_file), [this] { return gbnf_constraint(read_text(grammar_file)); });
  }
  if (format != "json")
    throw BadUsage("--format: '" + format + "' is not known", "--format json asks for a JSON object");
  return make_named("--format", json_object_constraint);
}

}  // namespace carat
