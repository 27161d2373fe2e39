// The reference row: every kernel as its definition says it, in double, with exact activations. Slow on purpose; the
// other rows are tested against it, and `--isa reference` runs a model on it.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/table.h"
#include "kernels/half.h"
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
void dequantize(const std::byte* w, float* out, std::size_t n) noexcept {
  dequantize_row(dtype, w, out, n);
}

void quantize_activation(const float*, std::size_t, std::int16_t*, float*, float*, float*) noexcept {}

void pack_tile(const float* x, std::size_t, std::size_t cols, float* out) noexcept { std::copy_n(x, cols, out); }

void panel_product(const Panel& p) noexcept {
  std::vector<float> row(p.cols);
  for (std::size_t r = 0; r < p.rows; ++r) {
    p.unpack(p.w + r * p.row_bytes, row.data(), p.cols);
    for (std::size_t t = 0; t < p.tokens; ++t) {
      double sum = 0;
      for (std::size_t i = 0; i < p.cols; ++i)
        sum += static_cast<double>(row[i]) * static_cast<double>(p.packed[t * p.cols + i]);
      p.out[t * p.stride + r] = static_cast<float>(sum);
    }
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
  for (std::size_t i = 0; i < n; ++i) {
    const double a = x[i];
    x[i] = static_cast<float>(a / (1 + std::exp(-a)) * up[i]);
  }
}

void gelu_gate(float* x, const float* up, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const double a = x[i], u = 0.79788456080286535588 * (a + 0.044715 * a * a * a);
    x[i] = static_cast<float>(0.5 * a * (1 + std::tanh(u)) * up[i]);
  }
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

void to_half(const float* x, std::uint16_t* out, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = half_from_float(x[i]);
}

void attend(const Attention& a) noexcept {
  std::vector<double> weights(a.last + 1 - a.first), out(a.head_dim);
  const auto row = [&](const std::uint16_t* cache, std::size_t i) {
    return cache + (a.first + i) % a.slots * a.stride;
  };
  double largest = -HUGE_VAL;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    double score = 0;
    for (std::size_t d = 0; d < a.head_dim; ++d)
      score += static_cast<double>(a.q[d]) * static_cast<double>(half_to_float(row(a.k, i)[d]));
    score *= a.scale;
    if (a.soft_cap > 0) score = a.soft_cap * std::tanh(score / a.soft_cap);
    weights[i] = score;
    largest = std::max(largest, score);
  }
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = std::exp(weights[i] - largest);
    sum += weights[i];
    for (std::size_t d = 0; d < a.head_dim; ++d)
      out[d] += weights[i] * static_cast<double>(half_to_float(row(a.v, i)[d]));
  }
  for (std::size_t d = 0; d < a.head_dim; ++d) a.out[d] = static_cast<float>(out[d] / sum);
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

template <std::size_t... type>
constexpr Table make_reference(std::index_sequence<type...>) noexcept {
  return {
      .name = "reference",
      .row_products = {row_products<static_cast<DType>(type)>...},
      .dequantize = {dequantize<static_cast<DType>(type)>...},
      .quantize_activation = quantize_activation,
      .tile_tokens = kTile,
      .pack_tile = pack_tile,
      .panel_product = panel_product,
      .rms_norm = rms_norm,
      .add = add,
      .silu_gate = silu_gate,
      .gelu_gate = gelu_gate,
      .soft_cap = soft_cap,
      .scale = scale,
      .rope_adjacent = rope_adjacent,
      .rope_halves = rope_halves,
      .to_half = to_half,
      .attend = attend,
      .quantize = {quantize<static_cast<DType>(type)>...},
      .compare = compare,
  };
}

}  // namespace

constinit const Table kReference = make_reference(std::make_index_sequence<kDTypeCount>{});

}  // namespace carat::cpu
