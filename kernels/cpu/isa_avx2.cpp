#include "kernels/cpu/make_table.h"

constinit const carat::cpu::Table carat::cpu::kAvx2 = carat::cpu::make_table<carat::cpu::Avx2>("avx2");
