// The parts of a layer that touch each activation once: norms, gates, caps, rotations.
#pragma once
#include "kernels/cpu/ops_x86.h"
#include "kernels/gate.h"

namespace carat::cpu {

// Runs `f` on registers, then on the rest one element at a time through a padded register.
template <class Isa, class F>
[[gnu::always_inline]] inline void each_register(float* x, const float* y, std::size_t n, F f) noexcept {
  using Floats = vec<float, Isa>;
  std::size_t i = 0;
  for (; i + Floats::size <= n; i += Floats::size)
    f(Floats::load_unaligned(x + i), Floats::load_unaligned(y + i)).store_unaligned(x + i);
  if (i == n) return;
  float a[Floats::size] = {}, b[Floats::size] = {};
  for (std::size_t j = i; j < n; ++j) a[j - i] = x[j], b[j - i] = y[j];
  f(Floats::load_unaligned(a), Floats::load_unaligned(b)).store_unaligned(a);
  for (std::size_t j = i; j < n; ++j) x[j] = a[j - i];
}

template <class Isa>
inline void add(float* x, const float* y, std::size_t n) noexcept {
  using Floats = vec<float, Isa>;
  each_register<Isa>(x, y, n, [](Floats a, Floats b) { return a + b; });
}

template <class Isa>
inline vec<float, Isa> sigmoid(vec<float, Isa> x) noexcept {
  using Floats = vec<float, Isa>;
  return Floats(1.0f) / (Floats(1.0f) + xsimd::exp(-x));
}

template <class Isa>
inline vec<float, Isa> silu(vec<float, Isa> x) noexcept {
  return x * sigmoid<Isa>(x);
}

// 0.5 x (1 + tanh(u)) = x * sigmoid(2u), with u = sqrt(2 / pi) (x + 0.044715 x^3).
template <class Isa>
inline vec<float, Isa> gelu(vec<float, Isa> x) noexcept {
  using Floats = vec<float, Isa>;
  const Floats u = Floats(0.7978845608f) * x * (Floats(1.0f) + Floats(0.044715f) * x * x);
  return x * sigmoid<Isa>(u + u);
}

template <class Isa>
inline vec<float, Isa> gated(Gate act, vec<float, Isa> x, vec<float, Isa> up) noexcept {
  return (act == Gate::silu ? silu<Isa>(x) : gelu<Isa>(x)) * up;
}

template <class Isa>
inline void silu_gate(float* x, const float* up, std::size_t n) noexcept {
  using Floats = vec<float, Isa>;
  each_register<Isa>(x, up, n, [](Floats a, Floats b) { return silu<Isa>(a) * b; });
}

template <class Isa>
inline void gelu_gate(float* x, const float* up, std::size_t n) noexcept {
  using Floats = vec<float, Isa>;
  each_register<Isa>(x, up, n, [](Floats a, Floats b) { return gelu<Isa>(a) * b; });
}

template <class Isa>
inline void soft_cap(float* x, std::size_t n, float cap) noexcept {
  using Floats = vec<float, Isa>;
  each_register<Isa>(x, x, n, [cap](Floats a, Floats) { return Floats(cap) * xsimd::tanh(a / Floats(cap)); });
}

template <class Isa>
inline void scale(float* x, std::size_t n, float factor) noexcept {
  using Floats = vec<float, Isa>;
  each_register<Isa>(x, x, n, [factor](Floats a, Floats) { return a * Floats(factor); });
}

template <class Isa>
inline void rms_norm(float* out, const float* x, const float* gain, std::size_t n, float eps) noexcept {
  using Floats = vec<float, Isa>;
  Floats squares(0.0f);
  std::size_t i = 0;
  for (; i + Floats::size <= n; i += Floats::size) {
    const Floats value = Floats::load_unaligned(x + i);
    squares = multiply_add(value, value, squares);
  }
  float total = sum_of(squares);
  for (; i < n; ++i) total += x[i] * x[i];

  const float factor = 1.0f / __builtin_sqrtf(total / static_cast<float>(n) + eps);
  for (i = 0; i + Floats::size <= n; i += Floats::size)
    (Floats::load_unaligned(x + i) * Floats(factor) * Floats::load_unaligned(gain + i)).store_unaligned(out + i);
  for (; i < n; ++i) out[i] = x[i] * factor * gain[i];
}

template <class Isa>
inline void rotate(float& a, float& b, float cos, float sin) noexcept {
  const float turned = a * cos - b * sin;
  b = a * sin + b * cos;
  a = turned;
}

template <class Isa>
inline void rope_adjacent(float* x, const float* rotations, std::size_t pairs) noexcept {
  for (std::size_t i = 0; i < pairs; ++i) rotate<Isa>(x[2 * i], x[2 * i + 1], rotations[2 * i], rotations[2 * i + 1]);
}

template <class Isa>
inline void rope_halves(float* x, const float* rotations, std::size_t pairs) noexcept {
  for (std::size_t i = 0; i < pairs; ++i) rotate<Isa>(x[i], x[i + pairs], rotations[2 * i], rotations[2 * i + 1]);
}

}  // namespace carat::cpu
