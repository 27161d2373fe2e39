#include "kernels/cuda/cuda_backend.h"

#include <algorithm>
#include <cassert>
#include <ranges>

namespace carat::cuda {

namespace {

// Positions of a segment of attention, about.
constexpr std::size_t kSegment = 128;
std::size_t segments_of(std::size_t slots) { return std::clamp<std::size_t>(parts(slots, kSegment), 1, kMostSegments); }

float* floats(const Tensor& tensor) { return static_cast<float*>(tensor.where); }
std::uint32_t small(std::size_t n) { return static_cast<std::uint32_t>(n); }

CacheSide side_of(const Tensor& cache) {
  return {static_cast<std::uint8_t*>(cache.where), row_bytes(cache.dtype, cache.cols), cache.dtype};
}

}  // namespace

DeviceMemory allocate(std::size_t bytes, const char* what) {
  void* at = nullptr;
  const cudaError_t error = cudaMalloc(&at, std::max<std::size_t>(bytes, 1));
  if (error == cudaErrorMemoryAllocation) {
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    cudaGetLastError();  // the failure is not the next kernel's
    throw DeviceError("GPU: " + std::to_string(bytes >> 20) + " MiB of memory for " + what + ", and " +
                      std::to_string(free >> 20) + " MiB are left");
  }
  check(error, what);
  return DeviceMemory(at);
}

CudaBackend::CudaBackend(int device, std::uint32_t processors)
    : device_(device), processors_(processors), step_(stream_), upload_(stream_) {}

CudaBackend::~CudaBackend() {
  cudaSetDevice(device_);
  cudaStreamSynchronize(stream_);
}

void CudaBackend::use() const { check(cudaSetDevice(device_), "the device"); }

Tensor CudaBackend::adopt_weight(const Tensor& host) {
  use();
  memory_.push_back(allocate(host.rows * device_row_bytes(host.dtype, host.cols), "weights"));
  upload_.copy(host, static_cast<std::byte*>(memory_.back().get()));
  return {host.dtype, host.rows, host.cols, memory_.back().get(), host.scale};
}

Tensor CudaBackend::make(DType dtype, std::size_t rows, std::size_t cols) {
  Tensor tensor{dtype, rows, cols, nullptr};
  use();
  memory_.push_back(allocate(byte_size(tensor), dtype == DType::f32 ? "activations" : "the cache"));
  tensor.where = memory_.back().get();
  check(cudaMemsetAsync(tensor.where, 0, byte_size(tensor), stream_), "clearing memory");
  return tensor;
}

void CudaBackend::reserve(const FewRowsShape& shape) {
  if (shape.head_dim > kMaxHeadDim)
    throw DeviceError("GPU: heads of " + std::to_string(shape.head_dim) + " elements, and there is room for " +
                      std::to_string(kMaxHeadDim));
  grow<float>(hidden_, kFewRows * shape.hidden, "activations");
  grow<float>(up_, kFewRows * shape.hidden, "activations");
  grow<float>(partial_, kFewRows * shape.heads * kMostSegments * shape.head_dim, "attention");
  grow<Softmax>(softmax_, kFewRows * shape.heads * kMostSegments, "attention");
}

void CudaBackend::run() {
  use();
  step_.run();
  for (Input* input : {&ids_, &sequence_, &position_, &gathered_}) input->used = false;
}

// The values on the device: as they are there already, or copied.
template <class T>
const std::int32_t* CudaBackend::bring(Input& input, std::span<const T> values) {
  const auto equal = [](std::int32_t a, T b) { return static_cast<T>(a) == b; };
  if (!std::ranges::equal(input.values, values, equal)) {
    use();
    if (input.used) run();
    if (input.room < values.size()) {
      run();  // what was in the old room is read first
      input.room = std::max<std::size_t>(values.size(), kFewRows);
      input.memory = allocate(input.room * sizeof(std::int32_t), "positions");
    }
    input.values.resize(values.size());
    std::ranges::transform(values, input.values.begin(), [](T value) { return static_cast<std::int32_t>(value); });
    check(cudaMemcpyAsync(input.memory.get(), input.values.data(), values.size() * sizeof(std::int32_t),
                          cudaMemcpyHostToDevice, stream_),
          "positions");
  }
  input.used = true;
  return static_cast<const std::int32_t*>(input.memory.get());
}

template <class T>
T* CudaBackend::grow(Scratch& scratch, std::size_t count, const char* what) {
  if (scratch.bytes < count * sizeof(T)) {
    run();  // what uses the old room
    check(cudaStreamSynchronize(stream_), what);
    scratch.memory = DeviceMemory();
    scratch.bytes = 0;
    scratch.memory = allocate(count * sizeof(T), what);
    scratch.bytes = count * sizeof(T);
  }
  return static_cast<T*>(scratch.memory.get());
}

void CudaBackend::read(std::span<std::byte> out, const Tensor& from) {
  run();
  const std::size_t bytes = std::min(out.size(), byte_size(from));
  check(cudaMemcpyAsync(out.data(), from.where, bytes, cudaMemcpyDeviceToHost, stream_), "reading back");
  check(cudaStreamSynchronize(stream_), "computing");
}

void CudaBackend::write(const Tensor& to, std::span<const std::byte> from) {
  run();
  const std::size_t bytes = std::min(from.size(), byte_size(to));
  check(cudaMemcpyAsync(to.where, from.data(), bytes, cudaMemcpyHostToDevice, stream_), "writing");
  check(cudaStreamSynchronize(stream_), "writing");
}

void CudaBackend::embed(Tensor out, const Tensor& table, std::span<const TokenId> ids, float scale) {
  const std::int32_t* const on_device = bring(ids_, ids);
  step_.add(cuda::embed(table.dtype, small(ids.size()), {weight_of(table), on_device, floats(out), scale}));
}

void CudaBackend::rms_norm(Tensor out, const Tensor& x, const Tensor& gain, float eps) {
  step_.add(cuda::rms_norm(small(x.rows * (x.cols / gain.cols)),
                           {floats(out), floats(x), floats(gain), small(gain.cols), eps}));
}

void CudaBackend::matmul(const Tensor& x, std::size_t few, std::initializer_list<Product> products) {
  if (few > 0) multiply_few(row_view(x, 0, few), products);
  if (few == x.rows) return;
  const std::size_t many = x.rows - few;
  const Tensor rows = row_view(x, few, many);
  pack_rows(rows);
  for (const Product& product : products) multiply_many(rows, {row_view(product.out, few, many), product.w});
}

// Those of one type go into one launch.
void CudaBackend::multiply_few(const Tensor& x, std::initializer_list<Product> products) {
  for (const DTypeInfo& type : kDTypes) {
    RowProducts a{};
    a.x = floats(x);
    a.tokens = small(x.rows);
    const auto add = [&] {
      if (a.products > 0) step_.add(multiply_rows(type.id, processors_, a));
      a.products = 0;
    };
    for (const Product& product : products) {
      if (product.w.dtype != type.id) continue;
      a.of[a.products++] = {weight_of(product.w), floats(product.out)};
      if (a.products == kProducts) add();
    }
    add();
  }
}

void CudaBackend::pack_rows(const Tensor& x) {
  const std::uint32_t depth = packed_depth(x.cols);
  auto* const packed = grow<std::uint16_t>(packed_, x.rows * depth, "activations");
  float* const factor = grow<float>(factor_, x.rows, "activations");
  step_.add(pack(small(x.rows), {floats(x), packed, factor, small(x.cols), depth}));
}

void CudaBackend::multiply_many(const Tensor& x, const Product& product) {
  step_.add(multiply_panel(
      product.w.dtype,
      {weight_of(product.w), static_cast<const std::uint16_t*>(packed_.memory.get()),
       static_cast<const float*>(factor_.memory.get()), floats(product.out), small(x.rows), packed_depth(x.cols)}));
}

void CudaBackend::feed_forward(Tensor out, const Tensor& x, std::size_t few, const FeedForward& f) {
  const std::size_t hidden = f.w_gate.rows;
  const Tensor gate{DType::f32, x.rows, hidden, grow<float>(hidden_, x.rows * hidden, "activations")};
  const Tensor up{DType::f32, x.rows, hidden, grow<float>(up_, x.rows * hidden, "activations")};
  matmul(x, few, {{gate, f.w_gate}, {up, f.w_up}});
  step_.add(cuda::gate({floats(gate), floats(up), x.rows * hidden, f.act}));
  matmul(gate, few, {{out, f.w_down}});
}

void CudaBackend::add(Tensor x, const Tensor& y) {
  step_.add(cuda::add({floats(x), floats(y), x.rows * x.cols, y.rows * y.cols}));
}

void CudaBackend::gather(Tensor out, const Tensor& x, std::span<const std::size_t> rows) {
  const std::int32_t* const on_device = bring(gathered_, rows);
  step_.add(cuda::gather(small(rows.size()), {floats(out), floats(x), on_device, small(x.cols)}));
}

void CudaBackend::rotations(Tensor out, const Tensor& frequencies, const Rows& rows) {
  const std::int32_t* const position = bring(position_, rows.position);
  step_.add(cuda::rotations(small(rows.size()), {floats(out), floats(frequencies), position, small(frequencies.cols)}));
}

void CudaBackend::rope(Tensor x, std::size_t head_dim, const Tensor& rotations, RopeStyle style) {
  step_.add(cuda::rope(small(x.rows), {floats(x), floats(rotations), small(x.cols / head_dim), small(head_dim),
                                       small(rotations.cols / 2), style == RopeStyle::adjacent}));
}

void CudaBackend::store(const KvLayer& layer, const Tensor& k, const Tensor& v, const Rows& rows) {
  const std::int32_t* const sequence = bring(sequence_, rows.sequence);
  const std::int32_t* const position = bring(position_, rows.position);
  step_.add(cuda::store(small(rows.size()), {side_of(layer.k), side_of(layer.v), floats(k), floats(v), sequence,
                                             position, small(layer.slots), small(layer.k.cols)}));
}

// Few rows cut their positions into segments, so that the whole device has work; many of a sequence share what they
// read.
void CudaBackend::attend(Tensor out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                         const AttentionShape& shape) {
  const std::size_t segments = segments_of(layer.slots);
  for (std::size_t first = 0; first < rows.few; first += kFewRows)
    attend_rows(out, q, layer, rows, first, std::min(kFewRows, rows.few - first), segments, shape);
  for (std::size_t first = rows.few, end = first; first < rows.size(); first = end) {
    while (end < rows.size() && rows.sequence[end] == rows.sequence[first]) ++end;
    if (shape.head_dim > kMaxTileHeadDim)
      attend_rows(out, q, layer, rows, first, end - first, 1, shape);
    else
      attend_run(out, q, layer, rows, first, end - first, shape);
  }
}

void CudaBackend::attend_run(const Tensor& out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                             std::size_t first, std::size_t count, const AttentionShape& shape) {
  AttendTiles a{};
  a.k = side_of(layer.k);
  a.v = side_of(layer.v);
  a.q = floats(row_view(q, first, count));
  a.out = floats(row_view(out, first, count));
  a.first_slot = static_cast<std::size_t>(rows.sequence[first]) * layer.slots;
  a.tokens = small(count);
  a.position = static_cast<std::uint32_t>(rows.position[first]);
  a.slots = small(layer.slots);
  a.heads = small(shape.heads);
  a.kv_heads = small(shape.kv_heads);
  a.head_dim = small(shape.head_dim);
  a.window = small(shape.window);
  a.scale = shape.scale;
  a.soft_cap = shape.soft_cap;
  step_.add(attend_tiles(a));
}

void CudaBackend::attend_rows(const Tensor& out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                              std::size_t first, std::size_t count, std::size_t segments, const AttentionShape& shape) {
  const std::int32_t* const sequence = bring(sequence_, rows.sequence) + first;
  const std::int32_t* const position = bring(position_, rows.position) + first;
  const std::size_t pieces = count * shape.heads * segments;
  Attend a{};
  a.k = side_of(layer.k);
  a.v = side_of(layer.v);
  a.q = floats(row_view(q, first, count));
  a.sequence = sequence;
  a.position = position;
  a.partial = grow<float>(partial_, pieces * shape.head_dim, "attention");
  a.softmax = grow<Softmax>(softmax_, pieces, "attention");
  a.slots = small(layer.slots);
  a.heads = small(shape.heads);
  a.kv_heads = small(shape.kv_heads);
  a.head_dim = small(shape.head_dim);
  a.window = small(shape.window);
  a.segments = small(segments);
  a.scale = shape.scale;
  a.soft_cap = shape.soft_cap;
  step_.add(cuda::attend(small(count), a));
  step_.add(merge(small(count),
                  {a.partial, a.softmax, floats(row_view(out, first, count)), a.heads, a.head_dim, a.segments}));
}

void CudaBackend::soft_cap(Tensor x, float cap) { step_.add(cuda::soft_cap({floats(x), x.rows * x.cols, cap})); }

}  // namespace carat::cuda
