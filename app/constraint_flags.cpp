#include "app/constraint_flags.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/failure.h"
#include "app/flags.h"
#include "app/stopwatch.h"
#include "app/text_input.h"
#include "tokenizer/constraint/constraint.h"

namespace carat {
namespace {

// What is wrong with a constraint is said behind the name of the flag, and of the file if it is in one.
template <class Make>
std::shared_ptr<const Automaton> make_named(const std::string& name, const Make& make) {
  try {
    return std::make_shared<const Automaton>(make());
  } catch (const BadConstraint& e) {
    throw ConstraintNotMet(name + ": " + e.what());
  }
}

}  // namespace

AnswerConstraint::AnswerConstraint(std::shared_ptr<const Automaton> automaton, std::shared_ptr<const TokenTrie> trie,
                                   std::vector<TokenId> ends)
    : automaton_(std::move(automaton)), trie_(std::move(trie)), ends_(std::move(ends)), matcher_(*automaton_, *trie_) {}

void AnswerConstraint::begin(bool begins_text) {
  matcher_.reset(begins_text && trie_->tokenizer().add_space_prefix());
  ms_ = 0;
}

TokenFilter::Next AnswerConstraint::mask(std::span<float> logits) {
  const Stopwatch masking;
  const Next next = masked(logits);
  ms_ += masking.ms();
  return next;
}

// A grammar that can be read in too many ways gives up: the answer ends where it is, unmet.
TokenFilter::Next AnswerConstraint::masked(std::span<float> logits) {
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
  const Stopwatch accepting;
  try {
    matcher_.accept(token);
  } catch (const BadConstraint&) {  // nothing is allowed from here on
  }
  ms_ += accepting.ms();
}

void ConstraintFlags::add_to(CLI::App& app) {
  const auto add = [&app](const char* names, std::optional<std::string>& target, const char* value, const char* what) {
    Flag flag = add_value(
        app, names, [&target](const std::string& text) { target = text; }, value, what);
    flag->group(kMore);
    return flag;
  };
  add("-j,--json-schema", json_schema, "JSON", "write JSON that this schema describes")->group("Options");
  add("--json-schema-file", json_schema_file, "FILE", "the same, from a file (also -jf)");
  add("--format", format, "json", "write a JSON object");
  add("--grammar", grammar, "TEXT", "write what this grammar (GBNF) allows");
  add("--grammar-file", grammar_file, "FILE", "the same, from a file");
  add("--regex", regex, "PATTERN", "write what this regular expression matches");
}

std::string_view ConstraintFlags::kind() const {
  if (json_schema || json_schema_file) return "json_schema";
  if (format) return "json";
  if (grammar || grammar_file) return "grammar";
  return regex ? "regex" : "";
}

const std::shared_ptr<const Automaton>& ConstraintFlags::automaton() const {
  if (automaton_ == nullptr) automaton_ = make_automaton();
  return automaton_;
}

std::shared_ptr<const Automaton> ConstraintFlags::make_automaton() const {
  std::vector<std::string> given;
  const auto note = [&given](const std::optional<std::string>& value, const char* flag) {
    if (value) given.emplace_back(flag);
  };
  note(json_schema, "--json-schema");
  note(json_schema_file, "--json-schema-file");
  note(format, "--format");
  note(grammar, "--grammar");
  note(grammar_file, "--grammar-file");
  note(regex, "--regex");
  if (given.empty()) return nullptr;
  if (given.size() > 1) throw BadUsage(given[0] + " and " + given[1] + ": an answer can meet one constraint only");
  if (format && *format != "json") {
    throw BadUsage("--format: '" + *format + "' is not known", "--format json asks for a JSON object");
  }
  if (format) return make_named("--format", json_object_constraint);
  if (regex) return make_named("--regex", [this] { return regex_constraint(*regex); });
  const bool is_file = json_schema_file || grammar_file;
  const std::string& value = *(json_schema        ? json_schema
                               : json_schema_file ? json_schema_file
                               : grammar          ? grammar
                                                  : grammar_file);
  const std::string text = is_file ? read_text(value) : value;
  const bool is_schema = json_schema || json_schema_file;
  return make_named(is_file ? source_name(value) : given.front(),
                    [&] { return is_schema ? json_schema_constraint(text) : gbnf_constraint(text); });
}

std::unique_ptr<AnswerConstraint> ConstraintFlags::make(const Tokenizer& tokenizer, const std::vector<TokenId>& ends,
                                                        std::shared_ptr<const TokenTrie>& trie) const {
  if (automaton() == nullptr) return nullptr;
  if (trie == nullptr) trie = std::make_shared<const TokenTrie>(tokenizer, ends);
  return std::make_unique<AnswerConstraint>(automaton(), trie, ends);
}

}  // namespace carat
