#if !__has_include(<catch2/catch_all.hpp>)  // Catch2 3 has its main() in a library
#define CATCH_CONFIG_MAIN
#endif
#include "test/support/catch.h"
