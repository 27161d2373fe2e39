// How a test says that there is no GPU to run on. On the emulator there always is one.
#pragma once

#include "kernels/gpu.h"
#include "test/support/catch.h"

#define CARAT_NEEDS_GPU()                                            \
  if (carat::find_gpus().found.empty()) {                            \
    WARN("skipped: no GPU (" << carat::find_gpus().why_none << ")"); \
    return;                                                          \
  }
