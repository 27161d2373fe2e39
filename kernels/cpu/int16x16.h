// Arithmetic on sixteen int16, part by part, in terms of xsimd.
#pragma once
#include "kernels/cpu/ops_x86.h"

namespace carat::cpu {

template <class Isa, class F>
inline Int16x16<Isa> each_part(F f) noexcept {
  Int16x16<Isa> out;
  for (std::size_t i = 0; i < Int16x16<Isa>::kParts; ++i) out.part[i] = f(i);
  return out;
}

template <class Isa>
inline Int16x16<Isa> load16(const std::int16_t* from) noexcept {
  using Part = typename Int16x16<Isa>::Part;
  return each_part<Isa>([&](std::size_t i) { return Part::load_unaligned(from + i * Part::size); });
}

template <class Isa>
inline void store16(const Int16x16<Isa>& x, std::int16_t* to) noexcept {
  for (std::size_t i = 0; i < Int16x16<Isa>::kParts; ++i) x.part[i].store_unaligned(to + i * Int16x16<Isa>::Part::size);
}

template <class Isa>
inline Int16x16<Isa> all16(std::int16_t value) noexcept {
  return each_part<Isa>([&](std::size_t) { return typename Int16x16<Isa>::Part(value); });
}

template <class Isa>
inline Int16x16<Isa> operator&(const Int16x16<Isa>& x, std::int16_t mask) noexcept {
  using Part = typename Int16x16<Isa>::Part;
  return each_part<Isa>([&](std::size_t i) { return x.part[i] & Part(mask); });
}
template <class Isa>
inline Int16x16<Isa> operator|(const Int16x16<Isa>& x, const Int16x16<Isa>& y) noexcept {
  return each_part<Isa>([&](std::size_t i) { return x.part[i] | y.part[i]; });
}
template <class Isa>
inline Int16x16<Isa> operator-(const Int16x16<Isa>& x, std::int16_t y) noexcept {
  using Part = typename Int16x16<Isa>::Part;
  return each_part<Isa>([&](std::size_t i) { return x.part[i] - Part(y); });
}
template <class Isa>
inline Int16x16<Isa> operator*(const Int16x16<Isa>& x, std::int16_t y) noexcept {
  using Part = typename Int16x16<Isa>::Part;
  return each_part<Isa>([&](std::size_t i) { return x.part[i] * Part(y); });
}
template <class Isa>
inline Int16x16<Isa> operator>>(const Int16x16<Isa>& x, int count) noexcept {
  return each_part<Isa>([&](std::size_t i) { return x.part[i] >> count; });
}
template <class Isa>
inline Int16x16<Isa> operator<<(const Int16x16<Isa>& x, int count) noexcept {
  return each_part<Isa>([&](std::size_t i) { return x.part[i] << count; });
}

}  // namespace carat::cpu
