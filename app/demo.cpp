#include "app/demo.h"

// The assembler reads the file where it is (CARAT_DEMO_FILE is its path, as a string), so no compiler has to read a
// million numbers. A page of its own, as if it were mapped.
asm(".pushsection .rodata, \"a\"\n"
    ".balign 4096\n"
    "carat_demo_begin:\n"
    ".incbin \"" CARAT_DEMO_FILE
    "\"\n"
    "carat_demo_end:\n"
    ".popsection\n");

extern "C" const std::byte carat_demo_begin[], carat_demo_end[];

namespace carat {

std::span<const std::byte> demo_bytes() { return {carat_demo_begin, carat_demo_end}; }

}  // namespace carat
