// What bench found, in the formats of llama-bench: its columns and keys, and some more.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "app/bench_measure.h"

namespace carat {

struct BenchResult {
  std::string model_name, model_type;
  std::uint64_t model_bytes = 0, model_parameters = 0;
  std::string isa;
  std::string device, gpu_name;  // "cpu", "cuda", "cuda+cpu"; the GPU's maker's name for it
  std::size_t gpu_layers = 0;
  std::optional<double> gpu_ceiling;             // bytes per second
  std::size_t threads = 0, batch = 0, step = 0;  // the two sizes of batches, as -b and -ub give them
  std::string test_time;                         // when it began, ISO 8601
  double load_ms = 0;
  CacheTypes cache;
  BenchTest test;
  BenchTimes times;
  std::string_view product;  // what the ceiling of products multiplied; may be empty
};

// Writes one format. What the functions return is to be written as it is, in this order: begin, a row of each result,
// end.
class BenchReport {
 public:
  virtual ~BenchReport() = default;
  virtual std::string begin() { return {}; }
  virtual std::string row(const BenchResult& result) = 0;
  virtual std::string end() { return {}; }
};

inline constexpr std::string_view kBenchFormats = "md, csv, json, jsonl, sql";

// Columns of a table that only some runs want.
struct BenchColumns {
  bool batch = false, step = false, type_k = false, type_v = false, isa = false, gpu_layers = false;
};

// Null for a format that is none of kBenchFormats.
std::unique_ptr<BenchReport> make_bench_report(const std::string& format, const BenchColumns& columns);

}  // namespace carat
