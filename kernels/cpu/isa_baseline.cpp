#include "kernels/cpu/make_table.h"

constinit const carat::cpu::Table carat::cpu::kBaseline = carat::cpu::make_table<carat::cpu::Baseline>("baseline");
