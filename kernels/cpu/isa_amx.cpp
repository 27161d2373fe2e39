#include "kernels/cpu/amx.h"
#include "kernels/cpu/make_table.h"

namespace carat::cpu {

constinit const Table kAmx = with_tiles<Amx>(make_table<Amx>("amx"));

}  // namespace carat::cpu
