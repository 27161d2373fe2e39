// Preloaded (LD_PRELOAD) into a program: the time of day jumps by years, to and fro; the time since the start does not.
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <ctime>

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static std::atomic<unsigned> calls = 0;
  const long error = ::syscall(SYS_clock_gettime, clock, time);
  constexpr time_t kYears = 3 * 365 * 24 * 3600;
  const bool is_time_of_day = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (is_time_of_day) time->tv_sec += calls++ % 2 == 0 ? kYears : -kYears;
  return static_cast<int>(error);
}

extern "C" int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

extern "C" time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
