#include "kernels/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

namespace carat::cpu {

namespace {

// Up to this many tokens, each weight row meets them one by one; from there on, unpacking panels pays.
constexpr std::size_t kRowTokens = 3;
// Rows of weights in one task of decoding: small enough that both threads end together.
constexpr std::size_t kTaskRows = 32;

float* floats(const Tensor& tensor) { return static_cast<float*>(tensor.where); }
float* row(const Tensor& tensor, std::size_t r) { return floats(tensor) + r * tensor.cols; }
const std::byte* bytes(const Tensor& tensor) { return static_cast<const std::byte*>(tensor.where); }

std::size_t parts(std::size_t whole, std::size_t part) { return (whole + part - 1) / part; }

// The products as one list of tasks, `task_rows` rows each: task -> product and its first row.
struct Slab {
  const Product* product;
  std::size_t first, rows;
};
std::size_t slab_count(std::initializer_list<Product> products, std::size_t task_rows) {
  std::size_t tasks = 0;
  for (const Product& product : products) tasks += parts(product.w.rows, task_rows);
  return tasks;
}
Slab slab(std::initializer_list<Product> products, std::size_t task_rows, std::size_t task) {
  const Product* product = products.begin();
  for (; task >= parts(product->w.rows, task_rows); ++product) task -= parts(product->w.rows, task_rows);
  const std::size_t first = task * task_rows;
  return {product, first, std::min(task_rows, product->w.rows - first)};
}

template <class T>
void grow(std::vector<T>& scratch, std::size_t size) {
  if (scratch.size() < size) scratch.resize(size);
}

}  // namespace

Arena::~Arena() {
  for (const Piece& piece : pieces_) munmap(piece.at, piece.bytes);
}

void* Arena::take(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  pieces_.reserve(pieces_.size() + 1);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  pieces_.push_back({at, bytes});
  return at;
}

Tensor CpuBackend::make(DType dtype, std::size_t rows, std::size_t cols) {
  Tensor tensor{dtype, rows, cols, nullptr};
  tensor.where = arena_.take(byte_size(tensor));
  return tensor;
}

void CpuBackend::read(std::span<float> out, const Tensor& from) {
  std::memcpy(out.data(), from.where, std::min(out.size_bytes(), byte_size(from)));
}

void CpuBackend::embed(Tensor out, const Tensor& table, std::span<const TokenId> ids, float scale) {
  const std::size_t stride = row_bytes(table.dtype, table.cols);
  pool_.for_each(ids.size(), [&](std::size_t i, std::size_t) {
    const std::byte* from = bytes(table) + static_cast<std::size_t>(ids[i]) * stride;
    table_.dequantize[static_cast<std::size_t>(table.dtype)](from, row(out, i), table.cols);
    if (scale * table.scale != 1) table_.scale(row(out, i), table.cols, scale * table.scale);
  });
}

void CpuBackend::rms_norm(Tensor out, const Tensor& x, const Tensor& gain, float eps) {
  const std::size_t chunks = x.cols / gain.cols;
  pool_.for_each(x.rows, [&](std::size_t r, std::size_t) {
    for (std::size_t c = 0; c < chunks; ++c) {
      const std::size_t at = c * gain.cols;
      table_.rms_norm(row(out, r) + at, row(x, r) + at, floats(gain), gain.cols, eps);
    }
  });
}

void CpuBackend::matmul(const Tensor& x, std::initializer_list<Product> products) {
  if (x.rows <= kRowTokens) return multiply_rows(x, products);
  for (std::size_t first = 0; first < x.rows; first += kPanelTokens)
    multiply_panels(x, first, std::min(kPanelTokens, x.rows - first), products);
}

void CpuBackend::multiply_rows(const Tensor& x, std::initializer_list<Product> products) {
  const std::size_t groups = x.cols / kGroup;
  const bool quantised =
      std::any_of(products.begin(), products.end(), [](const Product& p) { return is_quantised(p.w.dtype); });
  grow(scratch_.q, kRowTokens * x.cols);
  grow(scratch_.scale, kRowTokens * groups);
  grow(scratch_.sum, kRowTokens * groups);
  grow(scratch_.half_sum, kRowTokens * groups * 2);
  Activation tokens[kRowTokens];
  for (std::size_t t = 0; t < x.rows; ++t) {
    float *scale = &scratch_.scale[t * groups], *sum = &scratch_.sum[t * groups];
    float* half_sum = &scratch_.half_sum[t * groups * 2];
    std::int16_t* q = &scratch_.q[t * x.cols];
    if (quantised) table_.quantize_activation(row(x, t), x.cols, q, scale, sum, half_sum);
    tokens[t] = {row(x, t), q, scale, sum, half_sum};
  }
  pool_.for_each(slab_count(products, kTaskRows), [&](std::size_t task, std::size_t) {
    const auto [product, first, rows] = slab(products, kTaskRows, task);
    const Tensor& w = product->w;
    const std::byte* from = bytes(w) + first * row_bytes(w.dtype, w.cols);
    for (std::size_t t = 0; t < x.rows; ++t) {
      float* out = row(product->out, t) + first;
      table_.row_products[static_cast<std::size_t>(w.dtype)](from, rows, w.cols, tokens[t], out);
      if (w.scale != 1) table_.scale(out, rows, w.scale);
    }
  });
}

void CpuBackend::multiply_panels(const Tensor& x, std::size_t first, std::size_t tokens,
                                 std::initializer_list<Product> products) {
  const std::size_t tile = table_.tile_tokens, tiles = parts(tokens, tile);
  grow(scratch_.packed, tiles * tile * x.cols);
  grow(scratch_.panels, pool_.threads() * kPanelScratch);
  pool_.for_each(tiles, [&](std::size_t i, std::size_t) {
    const std::size_t count = std::min(tile, tokens - i * tile);
    table_.pack_tile(row(x, first + i * tile), count, x.cols, &scratch_.packed[i * tile * x.cols]);
  });
  pool_.for_each(slab_count(products, kPanelRows), [&](std::size_t task, std::size_t thread) {
    const auto [product, from, rows] = slab(products, kPanelRows, task);
    const Tensor& w = product->w;
    Panel panel;
    panel.row_bytes = row_bytes(w.dtype, w.cols);
    panel.slice_bytes = row_bytes(w.dtype, kPanelDepth);
    panel.w = bytes(w) + from * panel.row_bytes;
    panel.unpack = table_.dequantize[static_cast<std::size_t>(w.dtype)];
    panel.rows = rows;
    panel.cols = w.cols;
    panel.packed = scratch_.packed.data();
    panel.tokens = tokens;
    panel.out = row(product->out, first) + from;
    panel.stride = product->out.cols;
    panel.scratch = &scratch_.panels[thread * kPanelScratch];
    table_.panel_product(panel);
    if (w.scale == 1) return;
    for (std::size_t t = 0; t < tokens; ++t) table_.scale(row(product->out, first + t) + from, rows, w.scale);
  });
}

void CpuBackend::add(Tensor x, const Tensor& y) {
  pool_.for_each(x.rows,
                 [&](std::size_t r, std::size_t) { table_.add(row(x, r), row(y, y.rows == 1 ? 0 : r), x.cols); });
}

void CpuBackend::gate(Tensor x, const Tensor& up, Gate kind) {
  const auto act = kind == Gate::silu ? table_.silu_gate : table_.gelu_gate;
  pool_.for_each(x.rows, [&](std::size_t r, std::size_t) { act(row(x, r), row(up, r), x.cols); });
}

void CpuBackend::rotations(Tensor out, const Tensor& frequencies, const Rows& rows) {
  pool_.for_each(rows.size(), [&](std::size_t r, std::size_t) {
    for (std::size_t i = 0; i < frequencies.cols; ++i) {
      // In double: far into a context an angle in float is off by a thousandth.
      const double angle = static_cast<double>(rows.position[r]) * static_cast<double>(floats(frequencies)[i]);
      row(out, r)[2 * i] = static_cast<float>(std::cos(angle));
      row(out, r)[2 * i + 1] = static_cast<float>(std::sin(angle));
    }
  });
}

void CpuBackend::rope(Tensor x, std::size_t head_dim, const Tensor& rotations, RopeStyle style) {
  const auto rotate = style == RopeStyle::adjacent ? table_.rope_adjacent : table_.rope_halves;
  pool_.for_each(x.rows, [&](std::size_t r, std::size_t) {
    for (std::size_t at = 0; at < x.cols; at += head_dim) rotate(row(x, r) + at, row(rotations, r), rotations.cols / 2);
  });
}

void CpuBackend::store(const KvLayer& layer, const Tensor& k, const Tensor& v, const Rows& rows) {
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto sequence = static_cast<std::size_t>(rows.sequence[r]),
               position = static_cast<std::size_t>(rows.position[r]);
    const std::size_t at = (sequence * layer.slots + position % layer.slots) * layer.k.cols;
    table_.to_half(row(k, r), static_cast<std::uint16_t*>(layer.k.where) + at, k.cols);
    table_.to_half(row(v, r), static_cast<std::uint16_t*>(layer.v.where) + at, v.cols);
  }
}

void CpuBackend::attend(Tensor out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                        const AttentionShape& shape) {
  const std::size_t group = shape.heads / shape.kv_heads;
  pool_.for_each(rows.size() * shape.heads, [&](std::size_t task, std::size_t) {
    const std::size_t r = task / shape.heads, head = task % shape.heads;
    const auto sequence = static_cast<std::size_t>(rows.sequence[r]),
               position = static_cast<std::size_t>(rows.position[r]);
    const std::size_t at = sequence * layer.slots * layer.k.cols + head / group * shape.head_dim;
    Attention a;
    a.q = row(q, r) + head * shape.head_dim;
    a.k = static_cast<const std::uint16_t*>(layer.k.where) + at;
    a.v = static_cast<const std::uint16_t*>(layer.v.where) + at;
    a.stride = layer.k.cols;
    a.slots = layer.slots;
    a.first = shape.window > 0 && position + 1 > shape.window ? position + 1 - shape.window : 0;
    a.last = position;
    a.head_dim = shape.head_dim;
    a.scale = shape.scale;
    a.soft_cap = shape.soft_cap;
    a.out = row(out, r) + head * shape.head_dim;
    table_.attend(a);
  });
}

void CpuBackend::soft_cap(Tensor x, float cap) {
  pool_.for_each(x.rows, [&](std::size_t r, std::size_t) { table_.soft_cap(row(x, r), x.cols, cap); });
}

}  // namespace carat::cpu
