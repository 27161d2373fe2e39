#include "kernels/cpu/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <system_error>

using carat::cpu::ThreadPool;
using carat::cpu::ThreadPools;

TEST_CASE("every task runs once, whatever the number of threads", "[pool]") {
  const std::size_t threads = GENERATE(1, 2, 3, 8);
  ThreadPool pool(threads);
  CHECK(pool.threads() == threads);
  for (const std::size_t tasks : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> runs(tasks);
    pool.for_each(tasks, [&](std::size_t task, std::size_t thread) { runs[task] += thread < threads ? 1 : 100; });
    CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& n) { return n == 1; }));
  }
}

TEST_CASE("what one loop wrote, the next loop reads", "[pool]") {
  ThreadPool pool(2);
  std::vector<int> values(64, 0);
  for (int round = 0; round < 2000; ++round)
    pool.for_each(values.size(),
                  [&](std::size_t i, std::size_t) { values[i] = values[i] == round - 1 || round == 0 ? round : -1; });
  CHECK(std::all_of(values.begin(), values.end(), [](int v) { return v == 1999; }));
}

TEST_CASE("workers that went to sleep wake up for the next loop", "[pool]") {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> sum = 0;
    pool.for_each(10, [&](std::size_t task, std::size_t) { sum += static_cast<int>(task); });
    CHECK(sum == 45);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

TEST_CASE("few and many tokens have crews of their own size", "[pool]") {
  const auto [few, many] = GENERATE(std::pair(1, 3), std::pair(3, 1), std::pair(2, 2));
  ThreadPools pools(static_cast<std::size_t>(few), static_cast<std::size_t>(many), {});
  for (const bool is_many : {false, true, false}) {
    pools.choose(is_many);
    CHECK(pools.threads() == static_cast<std::size_t>(is_many ? many : few));
    std::atomic<int> sum = 0;
    pools.for_each(10, [&](std::size_t task, std::size_t) { sum += static_cast<int>(task); });
    CHECK(sum == 45);
  }
}

TEST_CASE("pinned threads stay on their CPUs, and one that does not exist is refused", "[pool]") {
  std::thread([] {  // whose own CPU is not that of the other tests
    const int here = ::sched_getcpu();
    ThreadPool pool(2, std::array{here});
    std::atomic<int> elsewhere = 0;
    pool.for_each(1000, [&](std::size_t, std::size_t) { elsewhere += ::sched_getcpu() != here ? 1 : 0; });
    CHECK(elsewhere == 0);
    CHECK_THROWS_AS(ThreadPool(2, std::array{8191}), std::system_error);
  })
      .join();
}
