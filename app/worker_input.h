// The lines that a worker reads: requests, and words about requests.
#pragma once
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>

#include "app/query.h"

namespace carat {

struct WorkerRequest {
  std::string id;
  std::size_t line = 0;
  Query query;
  // When it has to be answered: "timeout" after it was read. None: any time.
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
};

// {"cancel": ID}
struct Cancellation {
  std::string id;
};

// {"id", "prompt" or "messages", "system", "options"}. A request without an id is called by its line, "line-3".
// `defaults` are what its options change. Throws BadUsage; `id` is then the request's, or empty if it cannot be told.
std::variant<WorkerRequest, Cancellation> parse_worker_line(const std::string& text, std::size_t number,
                                                            const RunOptions& defaults, std::string& id);

// Standard input, line by line, never waiting longer than it is told to.
class LineReader {
 public:
  // Reads what there is, at most 64 KiB, after waiting for it at most so long (-1: for ever) or until `other`, a
  // descriptor, becomes readable.
  void read(int wait_ms, int other);

  // The next whole line, without its end; blank ones are skipped. Throws BadUsage, once for each, for a line that is
  // longer than any request.
  std::optional<std::string> next();

  std::size_t number() const { return number_; }  // of the line that next() gave last, from 1
  bool ended() const { return ended_; }           // no more is to be read; next() may still have lines

 private:
  std::string pending_;
  std::size_t searched_ = 0;  // bytes of it without a line end
  bool is_too_long_ = false;  // the line that pending_ begins with, whose beginning is gone
  std::size_t number_ = 0;
  bool ended_ = false;
};

}  // namespace carat
