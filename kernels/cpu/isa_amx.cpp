#include "kernels/cpu/amx.h"
#include "kernels/cpu/make_table.h"
#include "kernels/cpu/probe_amx.h"

constinit const carat::cpu::Table carat::cpu::kAmx = carat::cpu::make_table<carat::cpu::Amx>("amx");
