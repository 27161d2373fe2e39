#include "engine/synthetic.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <new>
#include <utility>

#include "kernels/quant/codecs.h"

namespace carat {

namespace {

constexpr std::size_t kAlignment = 64;
// Tensors of more elements are made of pieces of a pool of so many, since encoding takes longer than copying.
constexpr std::size_t kPool = std::size_t{1} << 18;
constexpr std::size_t kPiece = std::size_t{1} << 15;  // elements copied at a time, at most
constexpr std::size_t kEncoded = 256;                 // elements encoded at a time: a multiple of every block

std::uint64_t padded(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::size_t element_count(const FileTensor& tensor) {
  return static_cast<std::size_t>(tensor.dims[0] * tensor.dims[1] * tensor.dims[2] * tensor.dims[3]);
}

std::size_t tensor_bytes(const FileTensor& tensor) { return row_bytes(tensor.dtype, element_count(tensor)); }

// SplitMix64 (Steele, Lea and Flood, 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }

  // Nearly normal, variance 1, and exact: the sum of four numbers of 16 bits, which has no rounding and no libm in it.
  float normal() {
    std::int32_t sum = -2 * 65535;
    for (std::uint64_t bits = next(), i = 0; i < 4; ++i, bits >>= 16) sum += static_cast<std::int32_t>(bits & 65535);
    constexpr float kUnit = 0x1.bb67aep0f / 65536;  // sqrt(3): four times the variance of a number from 0 to 1 is 1/3
    return static_cast<float>(sum) * kUnit;
  }

 private:
  std::uint64_t state_;
};

// n elements of `type`, mean + spread * normal; n is a multiple of the block.
void encode_noise(DType type, std::size_t n, float mean, float spread, Random& random, std::byte* out) {
  float values[kEncoded];
  for (std::size_t i = 0; i < n; i += kEncoded) {
    const std::size_t count = std::min(kEncoded, n - i);
    for (std::size_t j = 0; j < count; ++j) values[j] = mean + spread * random.normal();
    quantize_row(type, values, out + row_bytes(type, i), count);
  }
}

// The noise that large tensors are cut from, of each type and spread.
class Pools {
 public:
  explicit Pools(std::uint64_t seed) : seed_(seed) {}

  const std::vector<std::byte>& pool(DType type, float spread) {
    std::vector<std::byte>& bytes = pools_[{type, spread}];
    if (bytes.empty()) {
      bytes.resize(row_bytes(type, kPool));
      Random random(seed_);
      encode_noise(type, kPool, 0, spread, random, bytes.data());
    }
    return bytes;
  }

 private:
  std::uint64_t seed_;
  std::map<std::pair<DType, float>, std::vector<std::byte>> pools_;
};

// Pieces from anywhere in the pool, so that no two rows of the tensor need be the same.
void fill_from_pool(DType type, std::size_t n, const std::vector<std::byte>& pool, Random& random, std::byte* out) {
  const std::size_t block = info(type).block;
  for (std::size_t i = 0; i < n;) {
    const std::size_t from = random.below((kPool - kPiece) / block) * block;
    const std::size_t count = std::min(kPiece, n - i);
    std::memcpy(out + row_bytes(type, i), pool.data() + row_bytes(type, from), row_bytes(type, count));
    i += count;
  }
}

void fill(const FileTensor& tensor, Pools& pools, Random& random, std::byte* out) {
  const std::size_t n = element_count(tensor);
  if (tensor.n_dims == 1)
    return encode_noise(tensor.dtype, n, tensor.name.ends_with("bias") ? 0 : 1, 0.1f, random, out);
  const float spread = 1 / std::sqrt(static_cast<float>(tensor.dims[0]));
  if (n <= kPool) return encode_noise(tensor.dtype, n, 0, spread, random, out);
  fill_from_pool(tensor.dtype, n, pools.pool(tensor.dtype, spread), random, out);
}

}  // namespace

WeightMemory::WeightMemory(std::size_t bytes) {
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  madvise(at, bytes, MADV_NOHUGEPAGE);
  bytes_ = {static_cast<std::byte*>(at), bytes};
}

WeightMemory::WeightMemory(WeightMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

WeightMemory::~WeightMemory() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

std::uint64_t synthetic_bytes(std::span<const FileTensor> tensors) {
  std::uint64_t bytes = 0;
  for (const FileTensor& tensor : tensors) bytes += padded(tensor_bytes(tensor));
  return bytes;
}

SyntheticModel make_synthetic(const Preset& preset, std::vector<FileTensor> tensors, std::uint64_t seed) {
  WeightMemory memory(synthetic_bytes(tensors));
  Pools pools(seed);
  Random random(seed);
  std::uint64_t offset = 0;
  for (FileTensor& tensor : tensors) {
    const std::size_t size = tensor_bytes(tensor);
    tensor.offset = offset;
    tensor.bytes = memory.bytes().subspan(offset, size);
    fill(tensor, pools, random, memory.bytes().data() + offset);
    offset += padded(size);
  }
  std::vector<FilePart> parts;
  parts.push_back({.path = std::string(preset.name),
                   .mapping = {},
                   .bytes = memory.bytes(),
                   .version = 0,
                   .metadata = preset_metadata(preset),
                   .tensors = std::move(tensors),
                   .data_start = 0,
                   .alignment = kAlignment});
  ModelFile file("made up", std::move(parts));
  return {std::move(memory), std::move(file)};
}

}  // namespace carat
