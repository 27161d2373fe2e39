#include "kernels/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

namespace carat::cpu {

namespace {

// Bytes of weights in one task of decoding: large enough that memory is read in long sweeps, small enough that all
// threads end together; and its rows, at most.
constexpr std::size_t kTaskBytes = 80 << 10;
constexpr std::size_t kTaskRows = 128;
std::size_t task_rows(const Tensor& w) {
  const std::size_t rows = kTaskBytes / row_bytes(w.dtype, w.cols) / kFewRows * kFewRows;
  return std::clamp(rows, kFewRows, kTaskRows);
}

constexpr std::size_t kTogetherGroups = 16;  // of 32 columns, in one task of bringing tokens together
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

// What the codes of an activation take up in either form, with the bias of bytes, in floats.
constexpr std::size_t code_floats(std::size_t cols) { return quads(cols) * (256 / sizeof(float) + 32); }

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
  auto arena = std::make_unique<Arena>();
  floats_ = static_cast<float*>(arena->take(size * sizeof(float), Arena::Pages::large));
  size_ = size;
  arena_ = std::move(arena);  // nothing is lost where there is no more
}

Tensor CpuBackend::make(DType dtype, std::size_t rows, std::size_t cols) {
  Tensor tensor{dtype, rows, cols, nullptr};
  // Activations are walked column by column, where small pages cost a walk each; a cache is committed as it fills.
  const bool is_cache = dtype != DType::f32;
  tensor.where = arena_.take(byte_size(tensor), is_cache ? Arena::Pages::small : Arena::Pages::large);
  return tensor;
}

void CpuBackend::reserve(const FewRowsShape& shape) {
  grow_for_rows(std::max({shape.width, shape.hidden, shape.heads * shape.head_dim}));
  scratch_.hidden.grow(kFewRows * shape.hidden);
  grow_for_attention(shape.heads, shape.head_dim);
}

void CpuBackend::read(std::span<std::byte> out, const Tensor& from) {
  std::memcpy(out.data(), from.where, std::min(out.size(), byte_size(from)));
}

void CpuBackend::write(const Tensor& to, std::span<const std::byte> from) {
  std::memcpy(to.where, from.data(), std::min(from.size(), byte_size(to)));
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

void CpuBackend::gather(Tensor out, const Tensor& x, std::span<const std::size_t> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) std::copy_n(row(x, rows[i]), x.cols, row(out, i));
}

void CpuBackend::matmul(const Tensor& x, std::size_t few, std::initializer_list<Product> products) {
  const auto any = [&](bool codes) {
    return std::any_of(products.begin(), products.end(), [&](const Product& p) { return in_codes(p.w) == codes; });
  };
  for (std::size_t first = 0; first < few; first += kFewRows)
    multiply_rows(x, first, std::min(kFewRows, few - first), products);
  for (std::size_t first = few; first < x.rows; first += kPanelTokens) {
    const std::size_t tokens = std::min(kPanelTokens, x.rows - first);
    pack(x, first, tokens, {any(true), any(false)});
    multiply_panels(scratch_.packed, first, tokens, products);
  }
}

void CpuBackend::feed_forward(Tensor out, const Tensor& x, std::size_t few, const FeedForward& f) {
  scratch_.hidden.grow(kFewRows * f.w_gate.rows);
  for (std::size_t first = 0; first < few; first += kFewRows) {
    const std::size_t rows = std::min(kFewRows, few - first);
    const Tensor hidden{DType::f32, rows, f.w_gate.rows, scratch_.hidden.data()};
    gate_rows(hidden, x, first, f);
    multiply_rows(hidden, 0, rows, {{row_view(out, first, rows), f.w_down}});
  }
  for (std::size_t first = few; first < x.rows; first += kPanelTokens) {
    const std::size_t tokens = std::min(kPanelTokens, x.rows - first);
    const bool gate = in_codes(f.w_gate), up = in_codes(f.w_up);
    pack(x, first, tokens, {gate || up, !gate || !up});
    gate_panels(tokens, f);
    multiply_panels(scratch_.packed_hidden, first, tokens, {{out, f.w_down}});
  }
}

void CpuBackend::grow_for_rows(std::size_t cols) {
  const std::size_t groups = cols / kGroup;
  scratch_.codes.grow(kFewRows * code_floats(cols));
  scratch_.scale.grow(kFewRows * groups);
  scratch_.sum.grow(kFewRows * groups);
  scratch_.half_sum.grow(kFewRows * groups * 2);
  if (table_.bring_together == nullptr) return;
  scratch_.together.grow(kFewTokens * (cols / 2 + 6 * groups));
  scratch_.together_view.bytes = reinterpret_cast<std::int8_t*>(scratch_.together.data());
  scratch_.together_view.scale = scratch_.together.data() + kFewTokens * cols / 2;
  scratch_.together_view.sum = scratch_.together_view.scale + kFewTokens * groups;
  scratch_.together_view.half_sum = scratch_.together_view.sum + kFewTokens * groups;
  scratch_.together_view.high_sum =
      reinterpret_cast<std::int32_t*>(scratch_.together_view.half_sum + 2 * kFewTokens * groups);
}

CpuBackend::FewTokens CpuBackend::quantise(const Tensor& x, std::size_t first, std::size_t count, bool quantised) {
  const std::size_t groups = x.cols / kGroup;
  grow_for_rows(x.cols);
  FewTokens tokens;
  pool_.for_each(count, [&](std::size_t t, std::size_t) {
    float *scale = scratch_.scale.data() + t * groups, *sum = scratch_.sum.data() + t * groups;
    float* half_sum = scratch_.half_sum.data() + t * groups * 2;
    float* codes = scratch_.codes.data() + t * code_floats(x.cols);
    const Quantised to{reinterpret_cast<std::int16_t*>(codes),
                       reinterpret_cast<std::int8_t*>(codes),
                       reinterpret_cast<std::int32_t*>(codes) + 64 * quads(x.cols),
                       scale,
                       sum,
                       half_sum};
    if (quantised) table_.quantize_activation(row(x, first + t), x.cols, to);
    tokens[t] = {row(x, first + t), to.q, to.bytes, to.bias, scale, sum, half_sum};
  });
  if (quantised && count >= kLeastTogether && table_.bring_together != nullptr) {
    pool_.for_each(parts(groups, kTogetherGroups), [&](std::size_t i, std::size_t) {
      const std::size_t from = i * kTogetherGroups, to = std::min(groups, from + kTogetherGroups);
      table_.bring_together(tokens.data(), count, from, to, scratch_.together_view);
    });
    tokens[0].together = &scratch_.together_view;
  }
  return tokens;
}

void CpuBackend::multiply_slab(const Tensor& w, std::size_t first, std::size_t rows, const FewTokens& tokens,
                               std::size_t count, float* out, std::size_t stride) const {
  const auto type = static_cast<std::size_t>(w.dtype);
  const std::byte* from = bytes(w) + first * row_bytes(w.dtype, w.cols);
  if (count == 1)
    table_.row_products[type](from, rows, w.cols, tokens[0], out);
  else
    table_.few_rows[type](from, rows, w.cols, tokens.data(), count, out, stride);
  if (w.scale == 1) return;
  for (std::size_t t = 0; t < count; ++t) table_.scale(out + t * stride, rows, w.scale);
}

// Rows [first, first + count) of x, which are rows `first` on of every `out`.
void CpuBackend::multiply_rows(const Tensor& x, std::size_t first, std::size_t count,
                               std::initializer_list<Product> products) {
  const bool quantised =
      std::any_of(products.begin(), products.end(), [](const Product& p) { return is_quantised(p.w.dtype); });
  const FewTokens tokens = quantise(x, first, count, quantised);
  const std::size_t of_task = task_rows(products.begin()->w);
  pool_.for_each(slab_count(products, of_task), [&](std::size_t task, std::size_t) {
    const auto [product, from, rows] = slab(products, of_task, task);
    multiply_slab(product->w, from, rows, tokens, count, row(product->out, first) + from, product->out.cols);
  });
}

// Gate, up and the activation of a slab in one task, while it is in the first-level cache.
void CpuBackend::gate_rows(Tensor hidden, const Tensor& x, std::size_t first, const FeedForward& f) {
  const FewTokens tokens = quantise(x, first, hidden.rows, is_quantised(f.w_gate.dtype) || is_quantised(f.w_up.dtype));
  const auto act = f.act == Gate::silu ? table_.silu_gate : table_.gelu_gate;
  const std::size_t of_task = task_rows(f.w_gate);
  pool_.for_each(parts(hidden.cols, of_task), [&](std::size_t task, std::size_t) {
    const std::size_t from = task * of_task, rows = std::min(of_task, hidden.cols - from);
    float up[kFewRows * kTaskRows];
    multiply_slab(f.w_gate, from, rows, tokens, hidden.rows, row(hidden, 0) + from, hidden.cols);
    multiply_slab(f.w_up, from, rows, tokens, hidden.rows, up, kTaskRows);
    for (std::size_t t = 0; t < hidden.rows; ++t) act(row(hidden, t) + from, up + t * kTaskRows, rows);
  });
}

bool CpuBackend::in_codes(const Tensor& w) const {
  return table_.codes[static_cast<std::size_t>(w.dtype)].unpack != nullptr && w.cols % kGroup == 0;
}

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
  if (in_codes(w)) panel.codes = table_.codes[static_cast<std::size_t>(w.dtype)];
  panel.unpack_tiles = table_.unpack_tiles[static_cast<std::size_t>(w.dtype)];
  panel.rows = rows;
  panel.cols = w.cols;
  panel.packed = in_codes(w) ? packed.codes.data() : packed.floats.data();
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
  const bool out_in_codes = in_codes(f.w_down);
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
  pool_.choose(rows.size() > kFewRows);  // every step begins here
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

void CpuBackend::soft_cap(Tensor x, float cap) {
  pool_.for_each(x.rows, [&](std::size_t r, std::size_t) { table_.soft_cap(row(x, r), x.cols, cap); });
}

}  // namespace carat::cpu
