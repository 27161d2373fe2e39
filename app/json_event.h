// Events as JSON: the names and their order of cli.md, section 5. test/cli/events.schema.json says the same to
// programs.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "app/event.h"

namespace carat {

using Json = nlohmann::ordered_json;

// What every event of a request carries besides its own.
struct RequestLabel {
  std::string id = "r1";               // empty: it could not be read
  std::string source = "carat_local";  // who answers, to pipelines that ask several
  std::string model = {};              // its name; empty until it is known
  int bits = 0;                        // of its weights; 0 until it is known
};

Json to_json(const Event& event, const RequestLabel& label);

// A line of it, with the line end. What is not UTF-8 in it (a path may be anything) becomes U+FFFD.
std::string json_line(const Json& json);

}  // namespace carat
