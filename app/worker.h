// carat run --input-format jsonl: requests on standard input, a line each, answered as they come.
#pragma once
#include "app/commands.h"
#include "app/run_options.h"

namespace carat {

// Until the input ends and all is answered. Returns the exit code.
int run_worker(const RunOptions& options, Call& call);

}  // namespace carat
