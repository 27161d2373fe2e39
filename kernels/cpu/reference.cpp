// The reference row: every kernel as its definition says it, in double, with exact activations. Slow on purpose; the
// other rows are tested against it, and `--isa reference` runs a model on it.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/cpu/table.h"
#include "kernels/quant/codecs.h"

namespace carat::cpu {

namespace {

constexpr std::size_t kTile = 1;

template <DType dtype>
void row_products(const std::byte* w, std::size_t rows, std::size_t cols, const Activation& x, float* out) noexcept {
  std::vector<float> row(cols);
  for (std::size_t r = 0; r < rows; ++r) {
    dequantize_row(dtype, w + r * row_bytes(dtype, cols), row.data(), cols);
    double sum = 0;
    for (std::size_t i = 0; i < cols; ++i) sum += static_cast<double>(row[i]) * static_cast<double>(x.exact[i]);
    out[r] = static_cast<float>(sum);
  }
}

template <DType dtype>
void few_rows(const std::byte* w, std::size_t rows, std::size_t cols, const Activation* x, std::size_t tokens,
              float* out, std::size_t stride) noexcept {
  for (std::size_t t = 0; t < tokens; ++t) row_products<dtype>(w, rows, cols, x[t], out + t * stride);
}

template <DType dtype>
void dequantize(const std::byte* w, float* out, std::size_t n) noexcept {
  dequantize_row(dtype, w, out, n);
}

void quantize_activation(const float*, std::size_t, const Quantised&) noexcept {}

void pack_tile(const float* x, std::size_t, std::size_t cols, float* out) noexcept { std::copy_n(x, cols, out); }

void panel_product(const Panel& p) noexcept {
  std::vector<float> row(p.cols);
  for (std::size_t r = 0; r < p.rows; ++r) {
    p.unpack(p.w + r * p.row_bytes, row.data(), p.cols);
    for (std::size_t t = 0; t < p.tokens; ++t) {
      double sum = 0;
      for (std::size_t i = 0; i < p.cols; ++i)
        sum += static_cast<double>(row[i]) * static_cast<double>(p.packed[t * padded_depth(p.cols) + i]);
      p.out[t * p.stride + r] = static_cast<float>(sum);
    }
  }
}

double activate(Gate act, double x) {
  if (act == Gate::silu) return x / (1 + std::exp(-x));
  return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

void gated_panel(const GatedPanel& p) noexcept {
  std::vector<float> gate(p.gate.tokens * p.gate.rows), up(gate.size());
  const auto multiply = [](Panel panel, std::vector<float>& out) {
    panel.out = out.data();
    panel.stride = panel.rows;
    panel_product(panel);
  };
  multiply(p.gate, gate);
  multiply(p.up, up);
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const std::size_t t = i / p.gate.rows, r = i % p.gate.rows;
    p.packed_out[t * padded_depth(p.hidden) + p.first + r] =
        static_cast<float>(activate(p.act, p.gate.scale * gate[i]) * p.up.scale * up[i]);
  }
}

void rms_norm(float* out, const float* x, const float* gain, std::size_t n, float eps) noexcept {
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps));
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i] * factor * gain[i]);
}

void add(float* x, const float* y, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] += y[i];
}

void silu_gate(float* x, const float* up, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(activate(Gate::silu, x[i]) * up[i]);
}

void gelu_gate(float* x, const float* up, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(activate(Gate::gelu, x[i]) * up[i]);
}

void soft_cap(float* x, std::size_t n, float cap) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(cap * std::tanh(static_cast<double>(x[i]) / cap));
}

void scale(float* x, std::size_t n, float factor) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
}

void rotate(float& a, float& b, double cos, double sin) noexcept {
  const double x = a, y = b;
  a = static_cast<float>(x * cos - y * sin);
  b = static_cast<float>(x * sin + y * cos);
}

void rope_adjacent(float* x, const float* rotations, std::size_t pairs) noexcept {
  for (std::size_t i = 0; i < pairs; ++i) rotate(x[2 * i], x[2 * i + 1], rotations[2 * i], rotations[2 * i + 1]);
}

void rope_halves(float* x, const float* rotations, std::size_t pairs) noexcept {
  for (std::size_t i = 0; i < pairs; ++i) rotate(x[i], x[i + pairs], rotations[2 * i], rotations[2 * i + 1]);
}

// One query over positions [first, last]: the sum of exp(score - largest) * v, and the softmax it belongs to.
struct Attended {
  std::vector<double> out;
  double largest = -HUGE_VAL, sum = 0;
};
Attended attend_one(const CachedHead& c, const float* q, std::size_t first, std::size_t last, double scale,
                    double cap) {
  Attended result{std::vector<double>(c.head_dim)};
  std::vector<double> scores(last + 1 - first);
  std::vector<float> row(c.head_dim);
  const auto load = [&](const CachedRows& rows, std::size_t i) {
    dequantize_row(rows.dtype, rows.at + (first + i) % c.slots * rows.stride, row.data(), c.head_dim);
  };
  for (std::size_t i = 0; i < scores.size(); ++i) {
    load(c.k, i);
    for (std::size_t d = 0; d < c.head_dim; ++d) scores[i] += static_cast<double>(q[d]) * static_cast<double>(row[d]);
    scores[i] *= scale;
    if (cap > 0) scores[i] = cap * std::tanh(scores[i] / cap);
    result.largest = std::max(result.largest, scores[i]);
  }
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double weight = std::exp(scores[i] - result.largest);
    result.sum += weight;
    load(c.v, i);
    for (std::size_t d = 0; d < c.head_dim; ++d) result.out[d] += weight * static_cast<double>(row[d]);
  }
  return result;
}

void attend(const Attention& a) noexcept {
  for (std::size_t q = 0; q < a.queries; ++q) {
    const std::size_t at = q * a.cached.head_dim;
    const Attended one = attend_one(a.cached, a.q + at, a.first, a.last, a.scale, a.soft_cap);
    std::transform(one.out.begin(), one.out.end(), a.out + at, [](double x) { return static_cast<float>(x); });
    a.softmax[q] = {static_cast<float>(one.largest), static_cast<float>(one.sum)};
  }
}

void attend_block(const BlockAttention& a) noexcept {
  for (std::size_t row = 0; row < a.tokens * a.queries; ++row) {
    const std::size_t at = row / a.queries * a.q_stride + row % a.queries * a.cached.head_dim;
    const std::size_t last = a.position + row / a.queries;
    const std::size_t first = first_seen(last, a.window);
    const Attended one = attend_one(a.cached, a.q + at, first, last, a.scale, a.soft_cap);
    std::transform(one.out.begin(), one.out.end(), a.out + at,
                   [&](double x) { return static_cast<float>(x / one.sum); });
  }
}

template <DType type>
void quantize(const float* x, std::byte* w, std::size_t n) noexcept {
  quantize_row(type, x, w, n);
}

Difference compare(const float* x, const float* y, std::size_t n) noexcept {
  double squares = 0, misses = 0, worst = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double value = x[i], miss = value - static_cast<double>(y[i]);
    squares += value * value;
    misses += miss * miss;
    worst = std::max(worst, std::abs(miss));
  }
  return {static_cast<float>(squares), static_cast<float>(misses), static_cast<float>(worst)};
}

std::uint64_t read_bytes(const std::byte* from, std::size_t n) noexcept {
  return std::accumulate(from, from + n, std::uint64_t{0},
                         [](std::uint64_t sum, std::byte b) { return sum + static_cast<std::uint64_t>(b); });
}

// One product at a time, as the others here.
std::uint64_t multiply(std::size_t rounds) noexcept {
  double sum = 0;
  for (std::size_t round = 0; round < rounds; ++round) sum = sum * 0.7 + 0.3;
  return static_cast<std::uint64_t>(sum);
}

template <std::size_t... type>
constexpr Table make_reference(std::index_sequence<type...>) noexcept {
  return {
      .name = "reference",
      .row_products = {row_products<static_cast<DType>(type)>...},
      .few_rows = {few_rows<static_cast<DType>(type)>...},
      .dequantize = {dequantize<static_cast<DType>(type)>...},
      .unpack_tiles = {},
      .codes = {},
      .quantize_activation = quantize_activation,
      .tile_tokens = kTile,
      .pack_tile = pack_tile,
      .pack_codes = nullptr,
      .slab_rows = kSlabRows,
      .panel_product = panel_product,
      .gated_panel = gated_panel,
      .rms_norm = rms_norm,
      .add = add,
      .silu_gate = silu_gate,
      .gelu_gate = gelu_gate,
      .soft_cap = soft_cap,
      .scale = scale,
      .rope_adjacent = rope_adjacent,
      .rope_halves = rope_halves,
      .attend = attend,
      .attend_block = attend_block,
      .quantize = {quantize<static_cast<DType>(type)>...},
      .compare = compare,
      .probe = {read_bytes, multiply, 2, "f64"},
  };
}

}  // namespace

constinit const Table kReference = make_reference(std::make_index_sequence<kDTypeCount>{});

}  // namespace carat::cpu
