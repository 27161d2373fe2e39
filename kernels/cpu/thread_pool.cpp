#include "kernels/cpu/thread_pool.h"

#include <chrono>

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

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) {
  workers_.reserve(threads);
  try {
    for (std::size_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
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
  loop_ = loop;
  next_.store(0, std::memory_order_relaxed);
  working_.store(workers_.size(), std::memory_order_relaxed);
  round_.fetch_add(1);  // publishes the loop
  if (sleeping_.load() > 0) round_.notify_all();
  take_tasks(0);
  while (!spin_until([this] { return working_.load(std::memory_order_acquire) == 0; }, kIdleSpin)) {
  }
}

void ThreadPool::take_tasks(std::size_t thread) {
  for (;;) {
    const std::size_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= loop_.tasks) return;
    loop_.call(loop_.context, task, thread);
  }
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
