// A fixed crew of threads for many short parallel loops.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace carat::cpu {

// Runs loops on `threads` threads, the caller's included. A token is hundreds of loops of microseconds each, so idle
// workers spin for a few milliseconds, giving way to others, before they sleep: waking one costs a hundred
// microseconds. Each thread has tasks that follow one another, as memory is read fastest in one sweep; who is done
// takes half of what another has left. One loop at a time, from one thread.
class ThreadPool {
 public:
  // Throws std::system_error when the system refuses the threads.
  explicit ThreadPool(std::size_t threads);
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

}  // namespace carat::cpu
