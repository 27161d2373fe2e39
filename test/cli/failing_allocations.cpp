// Preloaded (LD_PRELOAD) into a program: from main() on, its allocation number FAIL_AT finds no memory, nor, with
// FAIL_EVER, does any after it. How many there were is written to the file ALLOCATION_COUNT when it ends.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

using Main = int (*)(int, char**, char**);

std::atomic<bool> counts = false;
std::atomic<long> count = 0;
long fail_at = 0;
bool fails_ever = false;
Main real_main = nullptr;

bool fails() {
  if (!counts) return false;
  const long number = ++count;
  if (fail_at == 0 || number < fail_at || (number > fail_at && !fails_ever)) return false;
  errno = ENOMEM;
  return true;
}

int counted_main(int argc, char** argv, char** environment) {
  if (const char* const at = std::getenv("FAIL_AT")) fail_at = std::atol(at);
  fails_ever = std::getenv("FAIL_EVER") != nullptr;
  counts = true;
  const int code = real_main(argc, argv, environment);
  counts = false;
  const char* const path = std::getenv("ALLOCATION_COUNT");
  if (path == nullptr) return code;
  const int file = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  char text[32];
  const int length = std::snprintf(text, sizeof text, "%ld\n", count.load());
  (void)!::write(file, text, static_cast<std::size_t>(length));
  ::close(file);
  return code;
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return fails() ? nullptr : __libc_malloc(size); }
void* calloc(std::size_t n, std::size_t size) { return fails() ? nullptr : __libc_calloc(n, size); }
void* realloc(void* old, std::size_t size) { return fails() ? nullptr : __libc_realloc(old, size); }
void* memalign(std::size_t alignment, std::size_t size) { return fails() ? nullptr : __libc_memalign(alignment, size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }

int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  void* const memory = memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *out = memory;
  return 0;
}

int __libc_start_main(Main program, int argc, char** argv, void (*init)(), void (*fini)(), void (*rtld_fini)(),
                      void* stack_end) {
  real_main = program;
  using Start = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);
  const auto start = reinterpret_cast<Start>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  return start(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
}
