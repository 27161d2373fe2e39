#include "tokenizer/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "tokenizer/vocabulary.h"

namespace carat {
namespace {

// In these patterns \s means Unicode's White_Space, see with_white_space().
constexpr std::string_view kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

// A new pre-tokeniser is a row here, or a name in a row.
const std::vector<SplitRule>& rules() {
  static const std::vector<SplitRule> kRules = {
      {{"default"}, {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe", "mpt",
        "olmo"},
       {kGpt2}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3"}, {kLlama3}, true, true},
      {{"qwen2", "deepseek-r1-qwen", "megrez"}, {kQwen2}},
      {{"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, "[0-9][0-9][0-9]"}},
      {{"starcoder", "refact", "smollm"}, {R"(\p{N})", kGpt2}},
      {{"deepseek-coder"}, {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥ࠀ-一가-퟿]+", R"(\p{N})"}},
  };
  return kRules;
}

// PCRE2's \s also matches U+180E, which Unicode 6.3 took off its list of white space and the makers of vocabularies
// split as a letter: \s and \S are spelled out.
std::string with_white_space(std::string_view pattern) {
  constexpr std::string_view kWhiteSpace =
      R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string spelled;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char here = pattern[i];
    if (here == '[') in_class = true;
    if (here == ']') in_class = false;
    const char escaped = here == '\\' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (escaped == 's' && in_class) {
      spelled += kWhiteSpace;
    } else if (escaped == 's' || escaped == 'S') {
      spelled.append(escaped == 's' ? "[" : "[^").append(kWhiteSpace).append("]");
    } else {
      spelled += here;
      if (escaped != '\0') spelled += escaped;
    }
    if (escaped != '\0') ++i;
  }
  return spelled;
}

struct MatchDataFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct ContextFree {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct CodeFree {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};

[[noreturn]] void fail(int error, std::string_view what) {
  std::string message(256, '\0');
  const int length = pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message.data()), message.size());
  message.resize(static_cast<std::size_t>(std::max(length, 0)));
  throw std::runtime_error("tokenizer: " + std::string(what) + ": " + message);
}

}  // namespace

// One pattern, compiled.
class Pretokenizer::Pattern {
 public:
  explicit Pattern(std::string_view pattern) : limits_(pcre2_match_context_create(nullptr)) {
    const std::string spelled = with_white_space(pattern);
    int error = 0;
    PCRE2_SIZE where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &error, &where, nullptr));
    if (code_ == nullptr) fail(error, spelled);
    // Without leave to write machine code the interpreter does it, more slowly.
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    // The patterns go back over a run of white space at most, so that a limit only stops long runs.
    pcre2_set_match_limit(limits_.get(), UINT32_MAX);
    pcre2_set_depth_limit(limits_.get(), UINT32_MAX);
    pcre2_set_heap_limit(limits_.get(), UINT32_MAX);
  }

  // Appends the matches in `text`, and what lies between them. `data` is where a match is put.
  void split(std::string_view text, pcre2_match_data* data, std::vector<std::string_view>& words) const {
    const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(data);
    std::size_t at = 0;
    while (at < text.size()) {
      // With the check of UTF-8, each call would read the whole rest of the text.
      int found = match(text, at, PCRE2_NO_UTF_CHECK, data);
      if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(text, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data);
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) fail(found, "split");
      if (bounds[0] > at) words.push_back(text.substr(at, bounds[0] - at));
      words.push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
      at = bounds[1];
    }
    if (at < text.size()) words.push_back(text.substr(at));
  }

 private:
  int match(std::string_view text, std::size_t from, std::uint32_t options, pcre2_match_data* data) const {
    return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from, options, data,
                       limits_.get());
  }

  std::unique_ptr<pcre2_match_context, ContextFree> limits_;
  std::unique_ptr<pcre2_code, CodeFree> code_;
};

const SplitRule& split_rule(std::string_view name) {
  if (name.empty()) name = "default";
  std::string known;
  for (const SplitRule& rule : rules()) {
    if (std::ranges::find(rule.names, name) != rule.names.end()) return rule;
    for (const std::string_view other : rule.names) known.append(known.empty() ? "" : ", ").append(other);
  }
  throw BadVocabulary("vocabulary: pre-tokeniser: \"" + std::string(name) + "\" is not known; known are " + known);
}

Pretokenizer::Pretokenizer(const SplitRule& rule) {
  for (const std::string_view pattern : rule.patterns) patterns_.push_back(std::make_unique<Pattern>(pattern));
}

Pretokenizer::~Pretokenizer() = default;

std::vector<std::string_view> Pretokenizer::split(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, MatchDataFree> data(pcre2_match_data_create(1, nullptr));
  if (data == nullptr) throw std::bad_alloc();
  std::vector<std::string_view> words{text};
  for (const auto& pattern : patterns_) {
    std::vector<std::string_view> finer;
    finer.reserve(words.size());
    for (const std::string_view word : words) pattern->split(word, data.get(), finer);
    words = std::move(finer);
  }
  return words;
}

}  // namespace carat
