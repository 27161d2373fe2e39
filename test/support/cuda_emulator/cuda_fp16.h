// Stands in for CUDA's header of this name: half precision, in the words that kernels/cuda uses.
#pragma once
#include "kernels/half.h"

struct __half {
  unsigned short bits;
};
using half = __half;

inline __half __ushort_as_half(unsigned short bits) { return {bits}; }
inline unsigned short __half_as_ushort(__half value) { return value.bits; }
inline float __half2float(__half value) { return carat::half_to_float(value.bits); }
inline __half __float2half_rn(float value) { return {carat::half_from_float(value)}; }
