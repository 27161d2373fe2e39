#include "kernels/cpu/cpu_features.h"

#include <cpuid.h>

namespace carat::cpu {

Features detect() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return {};
  const bool fma = c & bit_FMA, f16c = c & bit_F16C;
  unsigned low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const bool saves_256 = (low & 0x06) == 0x06, saves_512 = (low & 0xE6) == 0xE6;

  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {};
  const unsigned avx512 = bit_AVX512F | bit_AVX512CD | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
  Features found;
  found.avx2 = saves_256 && fma && f16c && (b & bit_AVX2);
  found.avx512vnni = found.avx2 && saves_512 && (b & avx512) == avx512 && (c & bit_AVX512VNNI);
  return found;
}

}  // namespace carat::cpu
