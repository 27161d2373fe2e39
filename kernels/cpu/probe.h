// Ceilings (kernels/probe.h): memory read and numbers multiplied with nothing else to do.
#pragma once
#include "kernels/cpu/ops_x86.h"
#include "kernels/cpu/table.h"

namespace carat::cpu {

// Eight registers a step, each into its own sum, with the bytes 2 KB ahead asked for.
template <class Isa>
inline std::uint64_t read_bytes(const std::byte* from, std::size_t n) noexcept {
  using Words = vec<std::uint64_t, Isa>;
  constexpr std::size_t kRegister = sizeof(Words), kStep = 8 * kRegister, kAhead = 2048;
  Words sums[8];
  for (Words& sum : sums) sum = Words(std::uint64_t{0});
  std::size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    for (std::size_t line = 0; line < kStep; line += 64) __builtin_prefetch(from + i + kAhead + line);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < 8; ++r)
      sums[r] = sums[r] + Words::load_unaligned(reinterpret_cast<const std::uint64_t*>(from + i + r * kRegister));
  }
  Words all = sums[0];
  for (std::size_t r = 1; r < 8; ++r) all = all + sums[r];
  std::uint64_t words[Words::size], sum = 0;
  all.store_unaligned(words);
  for (const std::uint64_t word : words) sum += word;
  for (; i < n; ++i) sum += static_cast<std::uint64_t>(from[i]);
  return sum;
}

// Random bits, the same each time (Knuth's MMIX congruence), `bytes` of them, a multiple of 4.
template <class Isa>
inline void random_bits(void* out, std::size_t bytes) noexcept {
  std::uint64_t state = 1;
  for (std::size_t i = 0; i < bytes; i += 4) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto bits = static_cast<std::uint32_t>(state >> 32);
    __builtin_memcpy(static_cast<char*>(out) + i, &bits, 4);
  }
}

// Sums that do not wait for one another: latency four, two instructions a cycle, and some to spare.
inline constexpr std::size_t kProbeSums = 12;

template <class Isa>
inline std::uint64_t multiply_floats(std::size_t rounds) noexcept {
  using Floats = vec<float, Isa>;
  std::uint32_t bits[Floats::size];
  random_bits<Isa>(bits, sizeof bits);
  for (std::uint32_t& word : bits) word = (word & 0x7FFFFF) | 0x3F000000;  // 0.5 to 1
  const Floats x = Floats::load_unaligned(reinterpret_cast<const float*>(bits));
  Floats sums[kProbeSums];
  for (std::size_t i = 0; i < kProbeSums; ++i) sums[i] = x * Floats(static_cast<float>(i + 1));
  for (std::size_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kProbeSums; ++i) sums[i] = multiply_add(sums[i], x, x);  // towards x / (1 - x)
  float sum = 0;
  for (const Floats& each : sums) sum += each.get(0);
  return static_cast<std::uint64_t>(sum);
}

// sum += a b, products of bytes into sums of 32 bits: one instruction with VNNI, three with AVX2.
template <class Isa, class Register>
[[gnu::always_inline]] inline void multiply_add_bytes(Register& sum, Register& a, const Register& b) noexcept {
  // The empty instruction seems to change a factor, or the compiler would multiply once and for all.
  asm volatile("" : "+v"(a));
  if constexpr (kIs512<typename Isa::wide>)
    sum = _mm512_dpbusd_epi32(sum, a, b);
  else
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}

template <class Isa>
inline std::uint64_t multiply_bytes(std::size_t rounds) noexcept {
  using Ints = vec<std::int32_t, Isa>;
  using Register = typename Ints::register_type;
  alignas(64) std::int32_t bits[2 * Ints::size];
  random_bits<Isa>(bits, sizeof bits);
  Register a = Ints::load_aligned(bits);
  const Register b = Ints::load_aligned(bits + Ints::size);
  // By name: an array of them would lie in memory.
  Register s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a, s8 = a, s9 = a, s10 = a, s11 = a;
  const auto add = [&a, &b ](auto&... sums) __attribute__((always_inline)) {
    static_assert(sizeof...(sums) == kProbeSums);
    (multiply_add_bytes<Isa>(sums, a, b), ...);
  };
  for (std::size_t round = 0; round < rounds; ++round) add(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11);
  std::uint64_t sum = 0;
  for (const Register& each : {s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11})
    sum += static_cast<std::uint32_t>(Ints(each).get(0));
  return sum;
}

// The widest products that the instruction set has; two operations for each and its sum.
template <class Isa>
struct Products {
  static constexpr ProbeRow make_row() noexcept {
    constexpr std::size_t kFloats = vec<float, Isa>::size;
    if constexpr (kIs512<typename Isa::wide> || kIs256<typename Isa::wide>)
      return {read_bytes<Isa>, multiply_bytes<Isa>, 2.0 * 4 * kFloats * kProbeSums, "int8"};
    else
      return {read_bytes<Isa>, multiply_floats<Isa>, 2.0 * kFloats * kProbeSums, "f32"};
  }
  static constexpr ProbeRow row = make_row();
};

}  // namespace carat::cpu
