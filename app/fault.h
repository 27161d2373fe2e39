// What ends work from inside, where nothing can be thrown: bytes of a mapped file that are gone when they are touched
// (it was cut short meanwhile, or its disk failed), memory that a library cannot do without, a bug.
#pragma once
#include <string>
#include <string_view>

namespace carat {

struct Fault {
  enum class Kind { file_lost, out_of_memory, bug };
  Kind kind = Kind::bug;
  std::string message;

  int exit_code() const;
};

// While it lives, a thread with a fault waits, and the descriptor says so, for another thread to end the process in
// good order; a few seconds, lest that one is caught in the fault, too. A signal that somebody else has taken before (a
// sanitizer) stays theirs, but for SIGBUS. One at a time.
class Faults {
 public:
  Faults();  // throws std::system_error
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  ~Faults();

  int descriptor() const { return faults_; }  // readable once it has happened
  Fault take() const;                         // which, then

 private:
  int faults_ = -1;  // the end of a pipe
};

// For std::set_terminate: an exception that nobody takes, or none may leave, is a fault like the others.
[[noreturn]] void end_unhandled();

// Words that take no memory, to standard error.
void say_plainly(std::string_view line);

}  // namespace carat
