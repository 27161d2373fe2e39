// The user's settings file: lines become flags of carat run, or are refused by their place.
#include "app/config_file.h"
#include "app/failure.h"
#include "app/flags.h"
#include "app/run_options.h"
#include "test/fuzz/target.h"

namespace carat::fuzz {
namespace {

// As the command line has them.
void apply(const std::vector<Setting>& settings) {
  RunOptions options;
  FlagParser parser;
  options.add_to(parser.app());
  std::vector<std::string> arguments;
  for (const Setting& setting : settings) {
    const std::string name = "--" + setting.name;
    if (!parser.has(name)) continue;
    if (parser.takes_value(name)) {
      arguments.insert(arguments.end(), {name, setting.value});
    } else {
      arguments.push_back(name + "=" + setting.value);
    }
  }
  parser.parse(std::move(arguments));
}

}  // namespace

void run(std::span<const std::byte> input) {
  try {
    apply(parse_settings(text_of(input), "input", "run"));
  } catch (const Failure&) {
  }
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const char* text :
       {"# mine\n\ntemp = 0.5\nctx_size=77\n --top-k = 3\n", "[chat]\ntemp = 0.1\n[run]\ntemp = 0.2\nstats = on\n",
        "newline = off\nstop = \" girl\"\n", "model = /nowhere.gguf\ntimeout = 1.5s\nthreads = 2\n",
        "logit-bias = 5+1\ncache-type-k = q8_0\noverflow = shift\nthink = 64\n"})
    all.push_back(bytes_of(text));
  return all;
}

Bytes mutated(std::span<const std::byte> input, std::mt19937& random) {
  constexpr std::string_view kParts[] = {"\n",
                                         "=",
                                         "[run]\n",
                                         "[",
                                         "\"",
                                         "seed = -1\n",
                                         "n = 99999999999999999999\n",
                                         "temp = 1e999\n",
                                         "timeout = 1e9h\n",
                                         "= \n",
                                         "\r",
                                         "--"};
  return with_part(input, kParts, random);
}

}  // namespace carat::fuzz
