// How a test says that there is no GPU to run on. On the emulator there always is one.
#pragma once
#include <catch2/catch.hpp>

#include "kernels/gpu.h"

#define CARAT_NEEDS_GPU()                                            \
  if (carat::find_gpus().found.empty()) {                            \
    WARN("skipped: no GPU (" << carat::find_gpus().why_none << ")"); \
    return;                                                          \
  }
