#include "kernels/cpu/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <new>
#include <string>
#include <system_error>

namespace carat::cpu {

namespace {

inline void pause() { __builtin_ia32_pause(); }

// Waits until `ready`, first eagerly, then giving way; false when `patience` ran out.
template <class Ready>
bool spin_until(Ready ready, std::chrono::microseconds patience) {
  for (int i = 0; i < 2000; ++i) {
    if (ready()) return true;
    pause();
  }
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!ready()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

constexpr std::chrono::microseconds kIdleSpin{3000};

struct Range {
  std::uint32_t first = 0, end = 0;
};
std::uint64_t packed(Range range) { return static_cast<std::uint64_t>(range.first) << 32 | range.end; }
Range unpacked(std::uint64_t range) {
  return {static_cast<std::uint32_t>(range >> 32), static_cast<std::uint32_t>(range)};
}

void pin(pthread_t thread, int cpu) {
  const auto number = static_cast<std::size_t>(cpu);
  const std::size_t bytes = CPU_ALLOC_SIZE(number + 1);
  const auto release = [](cpu_set_t* allocated) { CPU_FREE(allocated); };
  const std::unique_ptr<cpu_set_t, decltype(release)> set(CPU_ALLOC(number + 1), release);
  if (set == nullptr) throw std::bad_alloc();
  CPU_ZERO_S(bytes, set.get());
  CPU_SET_S(number, bytes, set.get());
  const int error = ::pthread_setaffinity_np(thread, bytes, set.get());
  if (error != 0) throw std::system_error(error, std::generic_category(), "CPU " + std::to_string(cpu));
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads, std::span<const int> cpus)
    : shares_(std::make_unique<Share[]>(std::max<std::size_t>(threads, 1))) {
  workers_.reserve(threads);
  try {
    for (std::size_t i = 1; i < threads; ++i) {
      workers_.emplace_back([this, i] { work(i); });
      if (!cpus.empty()) pin(workers_.back().native_handle(), cpus[i % cpus.size()]);
    }
    if (!cpus.empty()) pin(::pthread_self(), cpus[0]);
  } catch (...) {  // no more threads to be had: the first ones must not outlive the pool
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stopping_ = true;
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(const Loop& loop) {
  assert(loop.tasks < UINT32_MAX);
  loop_ = loop;
  for (std::size_t t = 0; t < threads(); ++t) {
    const auto first_of = [&](std::size_t i) { return static_cast<std::uint32_t>(loop.tasks * i / threads()); };
    shares_[t].range.store(packed({first_of(t), first_of(t + 1)}), std::memory_order_relaxed);
  }
  working_.store(workers_.size(), std::memory_order_relaxed);
  round_.fetch_add(1);  // publishes the loop
  if (sleeping_.load() > 0) round_.notify_all();
  take_tasks(0);
  while (!spin_until([this] { return working_.load(std::memory_order_acquire) == 0; }, kIdleSpin)) {
  }
}

void ThreadPool::take_tasks(std::size_t thread) {
  std::atomic<std::uint64_t>& own = shares_[thread].range;
  do {
    std::uint64_t all = own.load(std::memory_order_relaxed);
    for (Range range = unpacked(all); range.first < range.end; range = unpacked(all)) {
      if (!own.compare_exchange_weak(all, packed({range.first + 1, range.end}), std::memory_order_relaxed)) continue;
      loop_.call(loop_.context, range.first, thread);
      all = own.load(std::memory_order_relaxed);
    }
  } while (take_half(thread));
}

// The second half of what another thread has left, which is then this one's; false when there is nothing. What is on
// its way from one thread to another is nobody's for a moment: a third may end too early for it, not too late.
bool ThreadPool::take_half(std::size_t thread) {
  for (std::size_t i = 1; i < threads(); ++i) {
    std::atomic<std::uint64_t>& other = shares_[(thread + i) % threads()].range;
    std::uint64_t all = other.load(std::memory_order_relaxed);
    for (Range range = unpacked(all); range.first < range.end; range = unpacked(all)) {
      const std::uint32_t middle = range.first + (range.end - range.first) / 2;
      if (!other.compare_exchange_weak(all, packed({range.first, middle}), std::memory_order_relaxed)) continue;
      shares_[thread].range.store(packed({middle, range.end}), std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

void ThreadPool::work(std::size_t thread) {
  std::uint32_t seen = 0;
  for (;;) {
    const auto called = [&] { return round_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(called, kIdleSpin)) {
      sleeping_.fetch_add(1);
      round_.wait(seen);
      sleeping_.fetch_sub(1);
      if (!called()) continue;
    }
    if (stopping_) return;
    ++seen;
    take_tasks(thread);
    working_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace carat::cpu
