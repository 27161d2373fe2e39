// What this processor can do, and the operating system lets it do.
#pragma once

namespace carat::cpu {

struct Features {
  bool avx2 = false;        // AVX2, FMA and F16C
  bool avx512vnni = false;  // AVX-512 F, CD, DQ, BW, VL and VNNI
  bool amx = false;         // these, AVX-512 BF16, AMX tiles and AMX BF16
};

// Asks cpuid for the instructions and XCR0 for the registers that the system saves: an instruction set that the
// hypervisor or kernel disables counts as absent (Intel SDM, volume 1, 13.2 and 15.2). Asks the system for leave to use
// tiles, as Linux demands (arch_prctl); a refusal counts as absent.
Features detect();

}  // namespace carat::cpu
