#include "convert/encoder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "engine/error.h"
#include "engine/file/byte_reader.h"
#include "engine/file/quote.h"
#include "kernels/cpu/dispatch.h"

namespace carat {

namespace {

constexpr std::size_t kChunkValues = std::size_t{1} << 15;  // what a thread works on: fits its second-level cache
constexpr std::size_t kSlabChunks = 64;                     // what is written at once: a few megabytes
constexpr std::size_t kCompareValues = 4096;                // sums in single precision stay good to six digits

const cpu::Table& find_isa(std::string_view name) {
  const cpu::Table* table = cpu::select(name);
  if (table == nullptr) throw NoResource("instruction set " + quote(name) + ": this machine does not have it");
  return *table;
}

// `why` tells what happened to a value of those that are looked at.
void refuse_infinite(const SourceTensor& tensor, const Packing& type, std::size_t first_row,
                     std::span<const float> looked_at, std::span<const float> values, const char* why) {
  const auto found = std::ranges::find_if_not(looked_at, [](float value) { return std::isfinite(value); });
  if (found == looked_at.end()) return;
  const auto i = static_cast<std::size_t>(found - looked_at.begin());
  throw BadFile("tensor " + quote(tensor.name) + ": row " + std::to_string(first_row + i / tensor.cols()) +
                ", column " + std::to_string(i % tensor.cols()) + ": " + std::to_string(values[i]) + why +
                std::string(type.name()));
}
constexpr const char* kNotFinite = " is not a finite number, and cannot become ";

}  // namespace

void Distortion::add(const Distortion& other) {
  values += other.values;
  squares += other.squares;
  misses += other.misses;
  worst = std::max(worst, other.worst);
}

double Distortion::rms() const { return values == 0 ? 0 : std::sqrt(misses / static_cast<double>(values)); }

double Distortion::relative() const { return squares == 0 ? 0 : std::sqrt(misses / squares); }

// A tensor cut into pieces of whole rows.
struct Encoder::Chunks {
  std::size_t rows, cols;
  std::size_t per_chunk, per_slab;  // rows

  // Chunks begin with a row and, where groups run on from row to row, with a group.
  explicit Chunks(const SourceTensor& tensor, std::size_t group = 1)
      : rows(tensor.rows()),
        cols(tensor.cols()),
        per_chunk(round_up(std::max<std::size_t>(1, kChunkValues / cols), group / std::gcd(group, cols))),
        per_slab(per_chunk * std::max<std::size_t>(1, kSlabChunks * kChunkValues / (per_chunk * cols))) {}

  std::size_t slabs() const { return (rows + per_slab - 1) / per_slab; }
  std::size_t rows_of_slab(std::size_t slab) const { return std::min(per_slab, rows - slab * per_slab); }
  std::size_t chunks_of_slab(std::size_t slab) const { return (rows_of_slab(slab) + per_chunk - 1) / per_chunk; }
  std::size_t rows_of_chunk(std::size_t slab, std::size_t chunk) const {
    return std::min(per_chunk, rows_of_slab(slab) - chunk * per_chunk);
  }
};

Encoder::Encoder(std::size_t threads, std::string_view isa, std::stop_token stop,
                 std::function<void(std::uint64_t)> passed)
    : pool_(threads),
      isa_(find_isa(isa)),
      stop_(std::move(stop)),
      passed_(std::move(passed)),
      scratch_(pool_.threads()) {}

void Encoder::check_stop() const {
  if (stop_.stop_requested()) throw Cancelled();
}

// Runs tasks on all threads. An exception must not leave a thread: the first one is thrown when all have ended.
template <class Task>
void Encoder::run(std::size_t tasks, Task task) {
  std::mutex mutex;
  std::exception_ptr failure;
  std::atomic<bool> failed = false;
  pool_.for_each(tasks, [&](std::size_t i, std::size_t thread) {
    if (failed.load(std::memory_order_relaxed)) return;
    try {
      task(i, scratch_[thread]);
    } catch (...) {
      const std::scoped_lock lock(mutex);
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

Distortion Encoder::encode(const SourceTensor& tensor, const Packing& type, const ByteSink& sink) {
  const Chunks chunks(tensor, type.group());
  for (Scratch& scratch : scratch_) scratch.distortion = {};
  std::vector<std::byte> encoding, writing;
  for (std::size_t slab = 0; slab < chunks.slabs(); ++slab) {
    check_stop();
    encoding.resize(type.bytes(chunks.rows_of_slab(slab) * chunks.cols));
    // The first task writes the slab before this one.
    run(chunks.chunks_of_slab(slab) + 1, [&](std::size_t task, Scratch& scratch) {
      if (task == 0) {
        if (!writing.empty()) sink(writing);
        return;
      }
      const std::size_t skipped = (task - 1) * chunks.per_chunk;
      encode_chunk(tensor, type, slab * chunks.per_slab + skipped, chunks.rows_of_chunk(slab, task - 1),
                   encoding.data() + type.bytes(skipped * chunks.cols), scratch);
    });
    std::swap(encoding, writing);
    if (passed_) passed_(row_bytes(tensor.dtype, chunks.rows_of_slab(slab) * chunks.cols));
  }
  sink(writing);
  Distortion sum;
  for (const Scratch& scratch : scratch_) sum.add(scratch.distortion);
  return sum;
}

void Encoder::encode_chunk(const SourceTensor& tensor, const Packing& type, std::size_t first, std::size_t count,
                           std::byte* out, Scratch& scratch) const {
  const std::size_t n = count * tensor.cols();
  scratch.values.resize(n);
  scratch.decoded.resize(n);
  if (type == tensor.dtype && tensor.copy) {
    tensor.copy(first, {out, type.bytes(n)});
    isa_.dequantize[static_cast<std::size_t>(tensor.dtype)](out, scratch.decoded.data(), n);
    scratch.values = scratch.decoded;
  } else {
    tensor.read(first, count, scratch.values.data());
    // What sorts and rounds these cannot meet others; blocks are looked at afterwards, when sums have found one.
    if (!type.dtype())
      refuse_infinite(tensor, type, first, std::span(scratch.values).first(n), scratch.values, kNotFinite);
    type.encode(isa_, scratch.values.data(), n, out, scratch.decoded.data());
  }
  scratch.distortion.add(compare(tensor, type, first, scratch, n));
}

Distortion Encoder::compare(const SourceTensor& tensor, const Packing& type, std::size_t first, const Scratch& scratch,
                            std::size_t n) const {
  Distortion sum{n, 0, 0, 0};
  for (std::size_t i = 0; i < n; i += kCompareValues) {
    const float* x = scratch.values.data() + i;
    const float* y = scratch.decoded.data() + i;
    const cpu::Difference difference = isa_.compare(x, y, std::min(kCompareValues, n - i));
    sum.squares += static_cast<double>(difference.squares);
    sum.misses += static_cast<double>(difference.misses);
    sum.worst = std::max(sum.worst, static_cast<double>(difference.worst));
  }
  if (std::isfinite(sum.squares) && std::isfinite(sum.misses)) return sum;

  return compare_carefully(tensor, type, first, scratch, n);
}

// When the sums are not finite, either a value is to blame, or only the single precision of the sums.
Distortion Encoder::compare_carefully(const SourceTensor& tensor, const Packing& type, std::size_t first,
                                      const Scratch& scratch, std::size_t n) const {
  const auto values = std::span(scratch.values).first(n), decoded = std::span(scratch.decoded).first(n);
  refuse_infinite(tensor, type, first, values, values, kNotFinite);
  refuse_infinite(tensor, type, first, decoded, values, " or a value beside it is too large for ");
  Distortion sum{n, 0, 0, 0};
  for (std::size_t i = 0; i < n; ++i) {
    const double x = scratch.values[i], miss = x - static_cast<double>(scratch.decoded[i]);
    sum.squares += x * x;
    sum.misses += miss * miss;
    sum.worst = std::max(sum.worst, std::abs(miss));
  }
  return sum;
}

float Encoder::largest(const SourceTensor& tensor) {
  const Chunks chunks(tensor);
  for (Scratch& scratch : scratch_) scratch.largest = 0;
  for (std::size_t slab = 0; slab < chunks.slabs(); ++slab) {
    check_stop();
    run(chunks.chunks_of_slab(slab), [&](std::size_t chunk, Scratch& scratch) {
      const std::size_t n = chunks.rows_of_chunk(slab, chunk) * chunks.cols;
      scratch.values.resize(n);
      tensor.read(slab * chunks.per_slab + chunk * chunks.per_chunk, n / chunks.cols, scratch.values.data());
      for (const float value : scratch.values) scratch.largest = std::max(scratch.largest, std::abs(value));
    });
  }
  float largest = 0;
  for (const Scratch& scratch : scratch_) largest = std::max(largest, scratch.largest);
  return largest;
}

}  // namespace carat
