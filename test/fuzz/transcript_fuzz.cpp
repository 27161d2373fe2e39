// Conversations out of files: read or refused, and what was read is written and read again as the same.
#include <cstdlib>

#include "app/failure.h"
#include "app/transcript.h"
#include "test/fuzz/target.h"

namespace carat::fuzz {

void run(std::span<const std::byte> input) {
  try {
    const std::string text = to_jsonl(parse_transcript(text_of(input), "input"));
    if (to_jsonl(parse_transcript(text, "again")) != text) std::abort();
  } catch (const Failure&) {
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const char* text :
       {"{\"role\":\"system\",\"content\":\"be brief\"}\n{\"role\":\"user\",\"content\":\"Hi\"}\n"
        "{\"role\":\"assistant\",\"content\":\"Hello\",\"reasoning\":\"a greeting\"}\n",
        "[{\"role\":\"user\",\"content\":\"caf\\u00e9\"},{\"role\":\"assistant\",\"content\":\"\"}]", "\n\n",
        "{\"role\":\"assistant\",\"content\":\"I begin\"}\n{\"role\":\"user\",\"content\":\"no\"}\n"})
    all.push_back(bytes_of(text));
  return all;
}

Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  constexpr std::string_view kParts[] = {"{\"role\":\"user\",\"content\":\"\"}\n",
                                         "\"reasoning\":\"x\",",
                                         "\n",
                                         "\\u0000",
                                         "{\"role\":\"assistant\",\"content\":1}\n",
                                         "]",
                                         "\"role\":\"tool\""};
  return with_part(input, kParts, random);
}

}  // namespace carat::fuzz
