#include "kernels/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

namespace carat::cpu {

namespace {

// Rows of weights in one task of decoding: small enough that both threads end together.
constexpr std::size_t kTaskRows = 32;
// Positions of the cache in one task of decoding.
constexpr std::size_t kSegment = 512;

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

// Whether weights deserve products finer than bf16: those stored in 16 bits and more.
bool keeps_more_than_bf16(DType dtype) { return info(dtype).bytes >= 2 * info(dtype).block; }

template <class T>
void grow(std::vector<T>& scratch, std::size_t size) {
  if (scratch.size() < size) scratch.resize(size);
}

}  // namespace

Arena::~Arena() {
  for (const Piece& piece : pieces_) munmap(piece.at, piece.bytes);
}

void* Arena::take(std::size_t bytes, Pages pages) {
  bytes = std::max<std::size_t>(bytes, 1);
  pieces_.reserve(pieces_.size() + 1);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  if (pages == Pages::large) madvise(at, bytes, MADV_HUGEPAGE);
  pieces_.push_back({at, bytes});
  return at;
}

void AlignedFloats::grow(std::size_t size) {
  if (size <= size_) return;
  arena_ = std::make_unique<Arena>();
  floats_ = static_cast<float*>(arena_->take(size * sizeof(float), Arena::Pages::large));
  size_ = size;
}

Tensor CpuBackend::make(DType dtype, std::size_t rows, std::size_t cols) {
  Tensor tensor{dtype, rows, cols, nullptr};
  // Activations are walked column by column, where small pages cost a walk each; a cache is committed as it fills.
  const bool is_cache = dtype == DType::f16;
  tensor.where = arena_.take(byte_size(tensor), is_cache ? Arena::Pages::small : Arena::Pages::large);
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
  const auto any = [&](bool codes) {
    return std::any_of(products.begin(), products.end(),
                       [&](const Product& p) { return in_codes(p.w.dtype) == codes; });
  };
  for (std::size_t first = 0; first < x.rows; first += kPanelTokens) {
    const std::size_t tokens = std::min(kPanelTokens, x.rows - first);
    pack(x, first, tokens, {any(true), any(false)});
    multiply_panels(scratch_.packed, first, tokens, products);
  }
}

void CpuBackend::feed_forward(Tensor out, const Tensor& x, const FeedForward& f) {
  if (x.rows <= kRowTokens) {
    scratch_.hidden.grow(kRowTokens * f.w_gate.rows);
    const Tensor hidden{DType::f32, x.rows, f.w_gate.rows, scratch_.hidden.data()};
    gate_rows(hidden, x, f);
    return multiply_rows(hidden, {{out, f.w_down}});
  }
  for (std::size_t first = 0; first < x.rows; first += kPanelTokens) {
    const std::size_t tokens = std::min(kPanelTokens, x.rows - first);
    const bool gate = in_codes(f.w_gate.dtype), up = in_codes(f.w_up.dtype);
    pack(x, first, tokens, {gate || up, !gate || !up});
    gate_panels(tokens, f);
    multiply_panels(scratch_.packed_hidden, first, tokens, {{out, f.w_down}});
  }
}

CpuBackend::RowTokens CpuBackend::quantise(const Tensor& x, bool quantised) {
  const std::size_t groups = x.cols / kGroup;
  grow(scratch_.q, kRowTokens * x.cols);
  grow(scratch_.scale, kRowTokens * groups);
  grow(scratch_.sum, kRowTokens * groups);
  grow(scratch_.half_sum, kRowTokens * groups * 2);
  RowTokens tokens;
  for (std::size_t t = 0; t < x.rows; ++t) {
    float *scale = scratch_.scale.data() + t * groups, *sum = scratch_.sum.data() + t * groups;
    float* half_sum = scratch_.half_sum.data() + t * groups * 2;
    std::int16_t* q = scratch_.q.data() + t * x.cols;
    if (quantised) table_.quantize_activation(row(x, t), x.cols, q, scale, sum, half_sum);
    tokens[t] = {row(x, t), q, scale, sum, half_sum};
  }
  return tokens;
}

void CpuBackend::multiply_slab(const Tensor& w, std::size_t first, std::size_t rows, const Activation& token,
                               float* out) const {
  const std::byte* from = bytes(w) + first * row_bytes(w.dtype, w.cols);
  table_.row_products[static_cast<std::size_t>(w.dtype)](from, rows, w.cols, token, out);
  if (w.scale != 1) table_.scale(out, rows, w.scale);
}

void CpuBackend::multiply_rows(const Tensor& x, std::initializer_list<Product> products) {
  const bool quantised =
      std::any_of(products.begin(), products.end(), [](const Product& p) { return is_quantised(p.w.dtype); });
  const RowTokens tokens = quantise(x, quantised);
  pool_.for_each(slab_count(products, kTaskRows), [&](std::size_t task, std::size_t) {
    const auto [product, first, rows] = slab(products, kTaskRows, task);
    for (std::size_t t = 0; t < x.rows; ++t)
      multiply_slab(product->w, first, rows, tokens[t], row(product->out, t) + first);
  });
}

// Gate, up and the activation of a slab in one task, while it is in the first-level cache.
void CpuBackend::gate_rows(Tensor hidden, const Tensor& x, const FeedForward& f) {
  const RowTokens tokens = quantise(x, is_quantised(f.w_gate.dtype) || is_quantised(f.w_up.dtype));
  const auto act = f.act == Gate::silu ? table_.silu_gate : table_.gelu_gate;
  pool_.for_each(parts(hidden.cols, kTaskRows), [&](std::size_t task, std::size_t) {
    const std::size_t first = task * kTaskRows, rows = std::min(kTaskRows, hidden.cols - first);
    for (std::size_t t = 0; t < x.rows; ++t) {
      float up[kTaskRows];
      multiply_slab(f.w_gate, first, rows, tokens[t], row(hidden, t) + first);
      multiply_slab(f.w_up, first, rows, tokens[t], up);
      act(row(hidden, t) + first, up, rows);
    }
  });
}

bool CpuBackend::in_codes(DType dtype) const { return table_.codes[static_cast<std::size_t>(dtype)].unpack != nullptr; }

void CpuBackend::pack(const Tensor& x, std::size_t first, std::size_t tokens, WeightTypes weights) {
  const std::size_t tile = table_.tile_tokens, tiles = parts(tokens, tile);
  const std::size_t tile_floats = tile * padded_depth(x.cols);
  const auto pack_as = [&](AlignedFloats& packed, auto pack_tile) {
    packed.grow(tiles * tile_floats);
    pool_.for_each(tiles, [&](std::size_t i, std::size_t) {
      const std::size_t count = std::min(tile, tokens - i * tile);
      pack_tile(row(x, first + i * tile), count, x.cols, packed.data() + i * tile_floats);
    });
  };
  if (weights.in_codes) pack_as(scratch_.packed.codes, table_.pack_codes);
  if (weights.in_floats) pack_as(scratch_.packed.floats, table_.pack_tile);
}

Panel CpuBackend::panel(const Tensor& w, std::size_t first, std::size_t rows, const Packed& packed, std::size_t tokens,
                        std::size_t thread) {
  Panel panel;
  panel.row_bytes = row_bytes(w.dtype, w.cols);
  panel.bytes_per_256 = row_bytes(w.dtype, 256);
  panel.exact = keeps_more_than_bf16(w.dtype);
  panel.scale = w.scale;
  panel.w = bytes(w) + first * panel.row_bytes;
  panel.unpack = table_.dequantize[static_cast<std::size_t>(w.dtype)];
  panel.codes = table_.codes[static_cast<std::size_t>(w.dtype)];
  panel.unpack_tiles = table_.unpack_tiles[static_cast<std::size_t>(w.dtype)];
  panel.rows = rows;
  panel.cols = w.cols;
  panel.packed = in_codes(w.dtype) ? packed.codes.data() : packed.floats.data();
  panel.tokens = tokens;
  panel.scratch = scratch_.panels.data() + thread * kPanelScratch;
  return panel;
}

void CpuBackend::multiply_panels(const Packed& packed, std::size_t first, std::size_t tokens,
                                 std::initializer_list<Product> products) {
  scratch_.panels.grow(pool_.threads() * kPanelScratch);
  // Large slabs bring the packed tokens near less often; small ones keep many threads busy to the end.
  const bool many = slab_count(products, table_.slab_rows) >= 4 * pool_.threads();
  const std::size_t slab_rows = many ? table_.slab_rows : kPanelRows;
  pool_.for_each(slab_count(products, slab_rows), [&](std::size_t task, std::size_t thread) {
    const auto [product, from, rows] = slab(products, slab_rows, task);
    Panel p = panel(product->w, from, rows, packed, tokens, thread);
    p.out = row(product->out, first) + from;
    p.stride = product->out.cols;
    table_.panel_product(p);
    if (p.scale == 1) return;
    for (std::size_t t = 0; t < tokens; ++t) table_.scale(row(product->out, first + t) + from, rows, p.scale);
  });
}

void CpuBackend::gate_panels(std::size_t tokens, const FeedForward& f) {
  const std::size_t hidden = f.w_gate.rows,
                    floats = parts(tokens, table_.tile_tokens) * table_.tile_tokens * padded_depth(hidden);
  scratch_.panels.grow(pool_.threads() * kPanelScratch);
  const bool out_in_codes = in_codes(f.w_down.dtype);
  AlignedFloats& packed_out = out_in_codes ? scratch_.packed_hidden.codes : scratch_.packed_hidden.floats;
  packed_out.grow(floats);
  if (hidden != padded_depth(hidden)) std::fill_n(packed_out.data(), floats, 0.0f);
  pool_.for_each(parts(hidden, table_.slab_rows), [&](std::size_t task, std::size_t thread) {
    const std::size_t first = task * table_.slab_rows, rows = std::min(table_.slab_rows, hidden - first);
    GatedPanel p;
    p.gate = panel(f.w_gate, first, rows, scratch_.packed, tokens, thread);
    p.up = panel(f.w_up, first, rows, scratch_.packed, tokens, thread);
    p.act = f.act;
    p.packed_out = packed_out.data();
    p.out_in_codes = out_in_codes;
    p.fine_too = keeps_more_than_bf16(f.w_down.dtype);
    p.hidden = hidden;
    p.first = first;
    table_.gated_panel(p);
  });
}

void CpuBackend::add(Tensor x, const Tensor& y) {
  pool_.for_each(x.rows,
                 [&](std::size_t r, std::size_t) { table_.add(row(x, r), row(y, y.rows == 1 ? 0 : r), x.cols); });
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

namespace {

CachedHead cached_head(const KvLayer& layer, std::size_t sequence, std::size_t kv_head, std::size_t head_dim) {
  const std::size_t at = sequence * layer.slots * layer.k.cols + kv_head * head_dim;
  return {static_cast<const std::uint16_t*>(layer.k.where) + at, static_cast<const std::uint16_t*>(layer.v.where) + at,
          layer.k.cols, layer.slots, head_dim};
}

}  // namespace

void CpuBackend::attend(Tensor out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                        const AttentionShape& shape) {
  std::size_t first = 0;
  while (first < rows.size()) {  // rows of one sequence stand together
    std::size_t end = first + 1;
    while (end < rows.size() && rows.sequence[end] == rows.sequence[first]) ++end;
    if (end - first > kRowTokens)
      attend_blocks(out, q, layer, rows, first, end, shape);
    else
      for (std::size_t r = first; r < end; ++r) attend_row(out, q, layer, rows, r, shape);
    first = end;
  }
}

// A prompt: blocks of tokens, each with the query heads that share a cached head.
void CpuBackend::attend_blocks(const Tensor& out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                               std::size_t first, std::size_t end, const AttentionShape& shape) {
  const std::size_t group = shape.heads / shape.kv_heads;
  const std::size_t queries = std::min(group, kAttentionRows), parts_of_group = parts(group, queries);
  const std::size_t tokens = kAttentionRows / queries, blocks = parts(end - first, tokens);
  const std::size_t scratch = attention_scratch(shape.head_dim);
  scratch_.panels.grow(pool_.threads() * scratch);
  pool_.for_each(blocks * shape.kv_heads * parts_of_group, [&](std::size_t task, std::size_t thread) {
    const std::size_t block = task / (shape.kv_heads * parts_of_group), rest = task % (shape.kv_heads * parts_of_group);
    const std::size_t kv_head = rest / parts_of_group, part = rest % parts_of_group, row_at = first + block * tokens;
    const std::size_t head = kv_head * group + part * queries;
    BlockAttention a;
    a.cached = cached_head(layer, static_cast<std::size_t>(rows.sequence[first]), kv_head, shape.head_dim);
    a.q = row(q, row_at) + head * shape.head_dim;
    a.q_stride = q.cols;
    a.tokens = std::min(tokens, end - row_at);
    a.queries = std::min(queries, group - part * queries);
    a.position = static_cast<std::size_t>(rows.position[row_at]);
    a.window = shape.window;
    a.scale = shape.scale;
    a.soft_cap = shape.soft_cap;
    a.out = row(out, row_at) + head * shape.head_dim;
    a.scratch = scratch_.panels.data() + thread * scratch;
    table_.attend_block(a);
  });
}

// One token: every cached head in segments of positions, so that all threads have work however few heads there are.
void CpuBackend::attend_row(const Tensor& out, const Tensor& q, const KvLayer& layer, const Rows& rows, std::size_t r,
                            const AttentionShape& shape) {
  const std::size_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  const auto last = static_cast<std::size_t>(rows.position[r]);
  const std::size_t first = first_seen(last, shape.window), segments = parts(last + 1 - first, kSegment);
  grow(scratch_.partial, segments * shape.heads * dim);
  grow(scratch_.softmax, segments * shape.heads);
  pool_.for_each(segments * shape.kv_heads, [&](std::size_t task, std::size_t) {
    const std::size_t segment = task / shape.kv_heads, head = task % shape.kv_heads * group;
    Attention a;
    a.cached = cached_head(layer, static_cast<std::size_t>(rows.sequence[r]), task % shape.kv_heads, dim);
    a.q = row(q, r) + head * dim;
    a.queries = group;
    a.first = first + segment * kSegment;
    a.last = std::min(last, a.first + kSegment - 1);
    a.scale = shape.scale;
    a.soft_cap = shape.soft_cap;
    a.out = &scratch_.partial[(segment * shape.heads + head) * dim];
    a.softmax = &scratch_.softmax[segment * shape.heads + head];
    table_.attend(a);
  });
  for (std::size_t head = 0; head < shape.heads; ++head) merge_segments(row(out, r), head, segments, shape);
}

// The segments of one head, brought to one maximum, summed and divided.
void CpuBackend::merge_segments(float* out, std::size_t head, std::size_t segments, const AttentionShape& shape) {
  float largest = scratch_.softmax[head].largest, sum = 0;
  for (std::size_t s = 1; s < segments; ++s)
    largest = std::max(largest, scratch_.softmax[s * shape.heads + head].largest);
  float* to = out + head * shape.head_dim;
  std::fill_n(to, shape.head_dim, 0.0f);
  for (std::size_t s = 0; s < segments; ++s) {
    const RunningSoftmax& part = scratch_.softmax[s * shape.heads + head];
    const float weight = std::exp(part.largest - largest);
    const float* from = &scratch_.partial[(s * shape.heads + head) * shape.head_dim];
    for (std::size_t d = 0; d < shape.head_dim; ++d) to[d] += weight * from[d];
    sum += weight * part.sum;
  }
  table_.scale(to, shape.head_dim, 1 / sum);
}

void CpuBackend::soft_cap(Tensor x, float cap) {
  pool_.for_each(x.rows, [&](std::size_t r, std::size_t) { table_.soft_cap(row(x, r), x.cols, cap); });
}

}  // namespace carat::cpu
