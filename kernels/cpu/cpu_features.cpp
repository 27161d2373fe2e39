#include "kernels/cpu/cpu_features.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace carat::cpu {

namespace {

// Linux saves the 8 KB of tiles only for processes that asked (Documentation/arch/x86/xstate.rst).
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

Features detect() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return {};
  const bool fma = c & bit_FMA, f16c = c & bit_F16C;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const bool saves_256 = (low & 0x06) == 0x06, saves_512 = (low & 0xE6) == 0xE6;
  const bool saves_tiles = (low & 0x60000) == 0x60000;

  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {};
  const unsigned avx512 = bit_AVX512F | bit_AVX512CD | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
  Features found;
  found.avx2 = saves_256 && fma && f16c && (b & bit_AVX2);
  found.avx512vnni = found.avx2 && saves_512 && (b & avx512) == avx512 && (c & bit_AVX512VNNI);
  const unsigned tiles = 1u << 24 | 1u << 22;  // AMX-TILE, AMX-BF16
  const bool has_tiles = saves_tiles && (d & tiles) == tiles;
  const bool has_bf16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
  found.amx = found.avx512vnni && has_tiles && has_bf16 && may_use_tiles();
  return found;
}

}  // namespace carat::cpu
