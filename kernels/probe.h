// What the machine can do at most, measured: the rates that a model's own are held against.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "kernels/backend.h"

namespace carat {

// Has a crew of threads of its own, as large as a backend's of the same options, and its instruction set.
// Not thread-safe: one caller at a time.
class Probe {
 public:
  // Throws as make_cpu_backend does.
  explicit Probe(const BackendOptions& options);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // Bytes per second of one plain, prefetched read of all pieces; each at least 1 byte.
  double read_rate(std::span<const std::span<const std::byte>> pieces);

  // Operations per second, two for each product and its sum, of the instruction set's widest products: random numbers
  // in registers, on all threads at once for about a hundredth of a second.
  double product_rate();

  // What product_rate() multiplies: "bf16 tiles", "int8", "f32".
  std::string_view product() const;

 private:
  struct Crew;
  std::unique_ptr<Crew> crew_;
};

}  // namespace carat
