// What a report says of the machine and of this process.
#pragma once
#include <cstdint>
#include <string>

namespace carat {

std::string cpu_name();               // as the system calls it; empty if it does not say
std::uint64_t peak_resident_bytes();  // of this process, so far

// What may still be used: what the system has to give, and the limits of the control groups (version 1 and 2) allow.
std::uint64_t available_memory();

}  // namespace carat
