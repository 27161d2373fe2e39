// Lines that a worker is sent: whatever they are, they are requests, words about requests, or refused.
#include "app/failure.h"
#include "app/worker_input.h"
#include "test/fuzz/target.h"

namespace carat::fuzz {

void run(std::span<const std::byte> input) {
  static const RunOptions defaults;
  std::string id;
  try {
    parse_worker_line(std::string(text_of(input)), 1, defaults, id);
  } catch (const Failure&) {
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const char* text :
       {R"({"id":"a","prompt":"Hello"})", R"({"cancel":"a"})",
        R"({"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"caf\u00e9"}]})",
        R"({"prompt":"x","system":"y","options":{"temp":0.5,"n":10,"seed":3,"stop":["a","b"],"top-k":4}})",
        R"({"prompt":"x","options":{"json-schema":{"type":"object"},"logit-bias":["5+1"],"greedy":true}})",
        R"({"prompt":"x","options":{"regex":"a+","logprobs":2,"timeout":"5s"}})"})
    all.push_back(bytes_of(text));
  return all;
}

Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  constexpr std::string_view kParts[] = {
      "\"id\":",   "\"prompt\":", "\"options\":{", "\"messages\":[", "null", "1e999",
      "\"stop\":", "{\"role\":",  "\\ud800",       "[[[[[[[[",       "-1,",  "\"\","};
  return with_part(input, kParts, random);
}

}  // namespace carat::fuzz
