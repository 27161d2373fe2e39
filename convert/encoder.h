// Rows from a source to the bytes of a type: on all threads, a slab at a time, in order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "convert/packing.h"
#include "convert/source.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/thread_pool.h"

namespace carat {

// How far encoded values are from what they were.
struct Distortion {
  std::uint64_t values = 0;
  double squares = 0;  // Σ x²
  double misses = 0;   // Σ (x - y)²
  double worst = 0;    // max |x - y|

  void add(const Distortion& other);
  double rms() const;       // √(Σ (x - y)² / values)
  double relative() const;  // √(Σ (x - y)² / Σ x²); 0 for zeros
};

// What an encoder is told to stop by. Not a failure.
class Cancelled : public std::exception {
 public:
  const char* what() const noexcept override { return "cancelled"; }
};

using ByteSink = std::function<void(std::span<const std::byte>)>;

class Encoder {
 public:
  // `stop` is looked at between slabs of a few megabytes; `passed(bytes)` is told how many bytes of the source are
  // done. Throws NoResource when this machine has no instruction set of that name.
  Encoder(std::size_t threads, std::string_view isa, std::stop_token stop, std::function<void(std::uint64_t)> passed);

  // Hands the encoded rows to `sink`, in order, while the next ones are being encoded. Rows that are stored in `type`
  // already are copied. Values that are not finite, or that the type cannot hold, throw BadFile; `stop` throws
  // Cancelled.
  Distortion encode(const SourceTensor& tensor, const Packing& type, const ByteSink& sink);

  // The largest magnitude in a tensor.
  float largest(const SourceTensor& tensor);

 private:
  struct Scratch {
    std::vector<float> values, decoded;
    Distortion distortion;
    float largest = 0;
  };
  struct Chunks;

  void encode_chunk(const SourceTensor& tensor, const Packing& type, std::size_t first, std::size_t count,
                    std::byte* out, Scratch& scratch) const;
  Distortion compare(const SourceTensor& tensor, const Packing& type, std::size_t first, const Scratch& scratch,
                     std::size_t n) const;
  Distortion compare_carefully(const SourceTensor& tensor, const Packing& type, std::size_t first,
                               const Scratch& scratch, std::size_t n) const;
  template <class Task>
  void run(std::size_t tasks, Task task);
  void check_stop() const;

  cpu::ThreadPool pool_;
  const cpu::Table& isa_;
  std::stop_token stop_;
  std::function<void(std::uint64_t)> passed_;
  std::vector<Scratch> scratch_;  // one per thread
};

}  // namespace carat
