#include "kernels/cpu/make_table.h"

constinit const carat::cpu::Table carat::cpu::kAvx512Vnni =
    carat::cpu::make_table<carat::cpu::Avx512Vnni>("avx512vnni");
