// What the process returns, and what each number means to a script.
#pragma once

namespace carat {

inline constexpr int kExitDone = 0;
inline constexpr int kExitError = 1;           // something went wrong on the way
inline constexpr int kExitUsage = 2;           // a flag, an argument, a text
inline constexpr int kExitModel = 3;           // missing, corrupt, or of a kind that is not supported
inline constexpr int kExitPromptTooLong = 4;   // nothing was generated
inline constexpr int kExitResource = 5;        // memory, threads, a device
inline constexpr int kExitConstraint = 6;      // the answer is not what it was held to; what there is was printed
inline constexpr int kExitBatch = 7;           // some request of several failed
inline constexpr int kExitTimeout = 124;       // as timeout(1) has it
inline constexpr int kExitSignal = 128;        // plus the number of the signal, as shells have it
inline constexpr int kExitOutputClosed = 141;  // as if SIGPIPE had ended the process

}  // namespace carat
