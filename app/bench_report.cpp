#include "app/bench_report.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/help.h"
#include "app/machine.h"
#include "app/threads.h"

namespace carat {
namespace {

using Fields = nlohmann::ordered_json;

// Null for what was not measured.
Fields maybe(const std::optional<double>& value) { return value ? Fields(*value) : Fields(); }

Fields scaled(const std::optional<BenchRate>& rate, double unit) {
  return rate ? Fields(rate->achieved / unit) : Fields();
}

Fields scaled_ceiling(const std::optional<BenchRate>& rate, double unit) {
  return rate && rate->ceiling ? Fields(*rate->ceiling / unit) : Fields();
}

std::optional<BenchRate> either_rate(const BenchTimes& times) { return times.read ? times.read : times.products; }

Fields share_of_ceiling(const BenchTimes& times) {
  const auto rate = either_rate(times);
  return rate && rate->ceiling ? Fields(rate->achieved / *rate->ceiling) : Fields();
}

std::vector<double> tokens_per_second(const BenchResult& r) {
  std::vector<double> rates;
  for (const std::uint64_t ns : r.times.samples_ns)
    rates.push_back(static_cast<double>(r.test.tokens()) * 1e9 / static_cast<double>(ns));
  return rates;
}

// As llama-bench has them: "CPU", "CUDA", "CUDA,CPU".
std::string backends(const BenchResult& r) {
  std::string names = r.device;
  for (char& c : names) c = c == '+' ? ',' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return names;
}

void add_setup(Fields& fields, const BenchResult& r) {
  fields["build_commit"] = built_from();
  fields["build_number"] = 0;
  fields["cpu_info"] = cpu_name();
  fields["gpu_info"] = r.gpu_name;
  fields["backends"] = backends(r);
  fields["model_filename"] = r.model_name;
  fields["model_type"] = r.model_type;
  fields["model_size"] = r.model_bytes;
  fields["model_n_params"] = r.model_parameters;
  fields["n_batch"] = r.batch;
  fields["n_ubatch"] = r.step;
  fields["n_threads"] = r.threads;
  fields["type_k"] = info(r.cache.k).name;
  fields["type_v"] = info(r.cache.v).name;
  fields["n_gpu_layers"] = r.gpu_layers;
  fields["n_prompt"] = r.test.prompt;
  fields["n_gen"] = r.test.reply;
  fields["n_depth"] = r.test.depth;
  fields["test_time"] = r.test_time;
}

// The keys in llama-bench's order, then ours. The samples are lists, which tables cannot hold.
Fields fields_of(const BenchResult& r, bool samples) {
  Fields fields;
  add_setup(fields, r);
  const std::vector<double> ns(r.times.samples_ns.begin(), r.times.samples_ns.end()), rates = tokens_per_second(r);
  const Spread time = spread(ns), rate = spread(rates);
  fields["avg_ns"] = static_cast<std::uint64_t>(time.mean);
  fields["stddev_ns"] = static_cast<std::uint64_t>(time.deviation);
  fields["avg_ts"] = rate.mean;
  fields["stddev_ts"] = rate.deviation;
  if (samples) {
    fields["samples_ns"] = r.times.samples_ns;
    fields["samples_ts"] = rates;
  }
  fields["ttft_ms"] = spread(r.times.first_token_ms).mean;
  fields["load_ms"] = r.load_ms;
  fields["warmup_ms"] = maybe(r.times.warm_up_ms);
  fields["peak_rss"] = peak_resident_bytes();
  fields["cpu_quota"] = maybe(cpu_quota());
  fields["isa"] = r.isa;
  fields["gb_per_s"] = scaled(r.times.read, 1e9);
  fields["gb_per_s_ceiling"] = scaled_ceiling(r.times.read, 1e9);
  fields["tflops"] = scaled(r.times.products, 1e12);
  fields["tflops_ceiling"] = scaled_ceiling(r.times.products, 1e12);
  fields["ceiling_product"] = r.times.products && r.times.products->ceiling ? r.product : "";
  fields["ceiling_share"] = share_of_ceiling(r.times);
  return fields;
}

std::string quoted(const std::string& text, char quote) {
  std::string result(1, quote);
  for (const char c : text) result.append(c == quote ? 2 : 1, c);
  return result + quote;
}

std::string join(const std::vector<std::string>& items, std::string_view separator) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : std::string(separator)) + item;
  return text;
}

class CsvReport : public BenchReport {
 public:
  std::string row(const BenchResult& result) override {
    const Fields fields = fields_of(result, false);
    std::vector<std::string> names, values;
    for (const auto& [name, value] : fields.items()) {
      names.push_back(name);
      values.push_back(quoted(value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump(), '"'));
    }
    const std::string head = has_head_ ? "" : join(names, ",") + "\n";
    has_head_ = true;
    return head + join(values, ",") + "\n";
  }

 private:
  bool has_head_ = false;
};

class JsonReport : public BenchReport {
 public:
  std::string begin() override { return "[\n"; }
  std::string row(const BenchResult& result) override {
    const std::string separator = any_ ? ",\n" : "";
    any_ = true;
    return separator + fields_of(result, true).dump(2, ' ', false, Fields::error_handler_t::replace);
  }
  std::string end() override { return any_ ? "\n]\n" : "]\n"; }

 private:
  bool any_ = false;
};

class JsonLinesReport : public BenchReport {
 public:
  std::string row(const BenchResult& result) override {
    return fields_of(result, true).dump(-1, ' ', false, Fields::error_handler_t::replace) + "\n";
  }
};

class SqlReport : public BenchReport {
 public:
  std::string row(const BenchResult& result) override {
    const Fields fields = fields_of(result, false);
    std::vector<std::string> columns, names, values;
    for (const auto& [name, value] : fields.items()) {
      const bool whole = value.is_number_integer();
      columns.push_back("  " + name + (value.is_string() ? " TEXT" : whole ? " INTEGER" : " REAL"));
      names.push_back(name);
      values.push_back(value.is_string() ? quoted(value.get<std::string>(), '\'')
                       : value.is_null() ? "NULL"
                                         : value.dump());
    }
    const std::string create =
        created_ ? "" : "CREATE TABLE IF NOT EXISTS llama_bench (\n" + join(columns, ",\n") + "\n);\n\n";
    created_ = true;
    return create + "INSERT INTO llama_bench (" + join(names, ", ") + ") VALUES (" + join(values, ", ") + ");\n";
  }

 private:
  bool created_ = false;
};

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string memory_size(std::uint64_t bytes) {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  return mebibytes < 1024 ? formatted("%.2f MiB", mebibytes) : formatted("%.2f GiB", mebibytes / 1024);
}

std::string parameter_count(std::uint64_t count) {
  const auto n = static_cast<double>(count);
  return count < 1'000'000'000 ? formatted("%.2f M", n / 1e6) : formatted("%.2f B", n / 1e9);
}

std::string rate_text(double rate, bool reads) {
  return reads ? formatted("%.2f GB/s", rate / 1e9) : formatted("%.3f TFLOP/s", rate / 1e12);
}

// Columns that a terminal shows, of texts with a sign that takes two bytes.
std::size_t shown_width(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

struct Cell {
  std::string name, value;
  std::size_t width;
  bool left = false;
};

std::string padded(const std::string& text, const Cell& cell) {
  const std::string gap(cell.width - std::min(cell.width, shown_width(text)), ' ');
  return cell.left ? text + gap : gap + text;
}

class MarkdownReport : public BenchReport {
 public:
  explicit MarkdownReport(const BenchColumns& columns) : columns_(columns) {}

  std::string row(const BenchResult& result) override {
    std::vector<Cell> cells = cells_of(result);
    std::string text;
    if (!has_head_) {
      for (const Cell& cell : cells) text += "| " + padded(cell.name, cell) + " ";
      text += "|\n";
      for (const Cell& cell : cells) text += "| " + std::string(cell.width - 1, '-') + (cell.left ? "- " : ": ");
      text += "|\n";
      has_head_ = true;
    }
    for (const Cell& cell : cells) text += "| " + padded(cell.value, cell) + " ";
    note(result);
    return text + "|\n";
  }

  std::string end() override {
    if (!has_head_) return {};
    const auto quota = cpu_quota();
    std::string text = "\nbuild: carat " CARAT_VERSION "; " + cpu_name() +
                       (quota ? formatted("; a quota of %g CPUs", *quota) : "") + "; peak memory " +
                       memory_size(peak_resident_bytes()) + "\n";
    for (const std::string& line : notes_) text += line + "\n";
    return text;
  }

 private:
  std::vector<Cell> cells_of(const BenchResult& r) const {
    const Spread speed = spread(tokens_per_second(r));
    std::vector<Cell> cells = {{"model", r.model_type, 30, true},
                               {"size", memory_size(r.model_bytes), 10},
                               {"params", parameter_count(r.model_parameters), 10},
                               {"backend", backends(r), 10, true},
                               {"threads", std::to_string(r.threads), 7}};
    if (columns_.batch) cells.push_back({"n_batch", std::to_string(r.batch), 7});
    if (columns_.step) cells.push_back({"n_ubatch", std::to_string(r.step), 8});
    if (columns_.type_k) cells.push_back({"type_k", std::string(info(r.cache.k).name), 6, true});
    if (columns_.type_v) cells.push_back({"type_v", std::string(info(r.cache.v).name), 6, true});
    if (columns_.gpu_layers) cells.push_back({"ngl", std::to_string(r.gpu_layers), 3});
    if (columns_.isa) cells.push_back({"isa", r.isa, 10, true});
    const auto rate = either_rate(r.times);
    const Fields share = share_of_ceiling(r.times);
    cells.push_back({"test", r.test.name(), 15});
    cells.push_back({"t/s", formatted("%.2f", speed.mean) + formatted(" ± %.2f", speed.deviation), 20});
    cells.push_back({"ttft ms", formatted("%.2f", spread(r.times.first_token_ms).mean), 9});
    cells.push_back({"rate", rate ? rate_text(rate->achieved, r.times.read.has_value()) : "", 14});
    cells.push_back({"of ceiling", share.is_null() ? "" : formatted("%.0f%%", 100 * share.get<double>()), 10});
    return cells;
  }

  // What a row has no room for, said once behind the table.
  void note(const BenchResult& r) {
    std::string line = r.model_type + " (" + r.isa + ", " + std::to_string(r.threads) + " threads) " + r.test.name() +
                       formatted(": load %.1f ms", r.load_ms);
    if (r.times.warm_up_ms) line += formatted(", warm-up %.0f ms", *r.times.warm_up_ms);
    if (const auto rate = either_rate(r.times); rate && rate->ceiling) {
      const bool reads = r.times.read.has_value();
      line += ", ceiling " + rate_text(*rate->ceiling, reads) +
              (reads ? std::string(r.gpu_ceiling ? " of a copy on the GPU" : " of plain reading")
                     : " of " + std::string(r.product) + " products");
    }
    notes_.push_back(line);
  }

  BenchColumns columns_;
  bool has_head_ = false;
  std::vector<std::string> notes_;
};

}  // namespace

std::unique_ptr<BenchReport> make_bench_report(const std::string& format, const BenchColumns& columns) {
  if (format == "md") return std::make_unique<MarkdownReport>(columns);
  if (format == "csv") return std::make_unique<CsvReport>();
  if (format == "json") return std::make_unique<JsonReport>();
  if (format == "jsonl") return std::make_unique<JsonLinesReport>();
  if (format == "sql") return std::make_unique<SqlReport>();
  return nullptr;
}

}  // namespace carat
