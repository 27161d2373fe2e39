// A fixed crew of threads for many short parallel loops.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace carat::cpu {

// Runs loops on `threads` threads, the caller's included. A token is hundreds of loops of microseconds each, so idle
// workers spin for a few milliseconds, giving way to others, before they sleep: waking one costs a hundred
// microseconds. Each thread has tasks that follow one another, as memory is read fastest in one sweep; who is done
// takes half of what another has left. One loop at a time, from one thread.
class ThreadPool {
 public:
  // With `cpus`, thread i runs on cpus[i % size] alone, the caller's, which is 0, included. Throws std::system_error
  // when the system refuses the threads, or a CPU.
  explicit ThreadPool(std::size_t threads, std::span<const int> cpus = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t threads() const { return workers_.size() + 1; }

  // Calls f(task, thread) once for each task in [0, tasks), thread in [0, threads()). Which thread takes which task
  // is chance; results are the same for any number of threads when a task's own result is.
  template <class F>
  void for_each(std::size_t tasks, F&& f) {
    if (tasks < 2 || workers_.empty()) {
      for (std::size_t task = 0; task < tasks; ++task) f(task, 0);
      return;
    }
    using Callable = std::remove_reference_t<F>;
    run({[](void* context, std::size_t task, std::size_t thread) { (*static_cast<Callable*>(context))(task, thread); },
         const_cast<void*>(static_cast<const void*>(&f)), tasks});
  }

 private:
  struct Loop {
    void (*call)(void* context, std::size_t task, std::size_t thread) = nullptr;
    void* context = nullptr;
    std::size_t tasks = 0;
  };

  // Tasks [first, end) of a thread, in one word: taken from the front by itself, from the back by others.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> range{0};
  };

  void run(const Loop&);
  void take_tasks(std::size_t thread);
  bool take_half(std::size_t thread);
  void work(std::size_t thread);
  void stop();

  Loop loop_;
  std::unique_ptr<Share[]> shares_;                   // of each thread
  alignas(64) std::atomic<std::uint32_t> round_{0};   // rises with each loop
  alignas(64) std::atomic<std::size_t> working_{0};   // workers still in the loop
  alignas(64) std::atomic<std::size_t> sleeping_{0};  // workers that wait for a wake-up
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

// The crew for steps of few tokens, which memory holds up, and the one for those of many, which arithmetic does. They
// may be the same; the one that is not at work sleeps.
class ThreadPools {
 public:
  // Throws as ThreadPool does.
  ThreadPools(std::size_t few, std::size_t many, std::span<const int> cpus) : few_(few, cpus), current_(&few_) {
    if (many != few) many_.emplace(many, cpus);
  }

  // Before a step.
  void choose(bool many) { current_ = many && many_ ? &*many_ : &few_; }

  std::size_t threads() const { return current_->threads(); }

  template <class F>
  void for_each(std::size_t tasks, F&& f) {
    current_->for_each(tasks, std::forward<F>(f));
  }

 private:
  ThreadPool few_;
  std::optional<ThreadPool> many_;
  ThreadPool* current_;
};

}  // namespace carat::cpu
