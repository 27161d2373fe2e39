#include "kernels/probe.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/thread_pool.h"

namespace carat {

namespace {

using Clock = std::chrono::steady_clock;

// What a thread reads at a time: large against what a prefetch runs ahead, small against a model.
constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr auto kProductTime = std::chrono::milliseconds(10);

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

const cpu::Table& selected(const std::string& isa) {
  const cpu::Table* table = cpu::select(isa);
  if (table == nullptr) throw std::invalid_argument("this machine has no instruction set '" + isa + "'");
  return *table;
}

}  // namespace

struct Probe::Crew {
  explicit Crew(const BackendOptions& options) : table(selected(options.isa)), pool(options.threads) {}

  const cpu::Table& table;
  cpu::ThreadPool pool;
  std::atomic<std::uint64_t> sum = 0;  // of what was read, so that the reading is for something
};

Probe::Probe(const BackendOptions& options) : crew_(std::make_unique<Crew>(options)) {}

Probe::~Probe() = default;

std::string_view Probe::product() const { return crew_->table.probe.product; }

double Probe::read_rate(std::span<const std::span<const std::byte>> pieces) {
  std::vector<std::span<const std::byte>> tasks;
  std::size_t total = 0;
  for (std::span<const std::byte> piece : pieces) {
    total += piece.size();
    for (; piece.size() > kReadBytes; piece = piece.subspan(kReadBytes)) tasks.push_back(piece.first(kReadBytes));
    tasks.push_back(piece);
  }
  const auto start = Clock::now();
  crew_->pool.for_each(tasks.size(), [&](std::size_t task, std::size_t) {
    crew_->sum += crew_->table.probe.read(tasks[task].data(), tasks[task].size());
  });
  return static_cast<double>(total) / seconds_since(start);
}

double Probe::product_rate() {
  constexpr std::size_t kRounds = 10000;  // between two looks at the clock
  const std::size_t threads = crew_->pool.threads();
  std::atomic<std::size_t> ready = 0;
  std::vector<double> rates(threads);
  // One task for each thread: none ends before all have begun, so that no thread takes two.
  crew_->pool.for_each(threads, [&](std::size_t task, std::size_t) {
    for (++ready; ready < threads;) std::this_thread::yield();
    std::size_t rounds = 0;
    const auto start = Clock::now();
    do {
      crew_->sum += crew_->table.probe.multiply(kRounds);
      rounds += kRounds;
    } while (Clock::now() - start < kProductTime);
    rates[task] = static_cast<double>(rounds) * crew_->table.probe.operations / seconds_since(start);
  });
  double rate = 0;
  for (const double of_thread : rates) rate += of_thread;
  return rate;
}

}  // namespace carat
