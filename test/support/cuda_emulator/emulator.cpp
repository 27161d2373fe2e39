#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "test/support/cuda_emulator/cuda_runtime.h"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

// Saves the registers that a call keeps on the stack in use, its place at *from, and goes on where `to` was saved.
extern "C" void cuda_emulator_switch(void** from, void* to);
asm(R"(
.text
.globl cuda_emulator_switch
.type cuda_emulator_switch, @function
cuda_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_emulator_switch, .-cuda_emulator_switch
)");

namespace cuda_emulator {

void fail(const char* why) {
  std::fprintf(stderr, "emulated GPU: block (%u, %u), thread %u: %s\n", blockIdx.x, blockIdx.y, threadIdx.x, why);
  std::abort();
}

namespace {

constexpr std::size_t kStack = std::size_t{1} << 18;  // sanitizers make frames large
constexpr unsigned kMostThreads = 1024;

enum class State : std::uint8_t { ready, at_warp_barrier, at_block_barrier, done };

struct Fiber {
  void* stack_pointer = nullptr;
  State state = State::done;
  unsigned exchanges = 0;
#ifdef __SANITIZE_THREAD__
  void* tsan = __tsan_create_fiber(0);
#endif
};

// One block at a time: its threads run in turn, each until it waits or ends.
class Block {
 public:
  ~Block() {
    if (stacks_ != nullptr) munmap(stacks_, kStack * kMostThreads);
#ifdef __SANITIZE_THREAD__
    for (Fiber& fiber : fibers_) __tsan_destroy_fiber(fiber.tsan);
#endif
  }

  void run(unsigned threads, const std::function<void()>& thread, bool backwards) {
    if (threads > kMostThreads || threads % warpSize != 0) fail("blocks are whole warps, of 1024 threads at most");
    begin(threads, thread);
    while (left_ > 0) {
      bool ran = false;
      for (unsigned i = 0; i < threads; ++i) ran |= resume(backwards ? threads - 1 - i : i);
      if (!ran) open_barriers();
    }
  }

  void wait(State at) {
    Fiber& fiber = fibers_[threadIdx.x];
    fiber.state = at;
    leave(fiber);
  }

  std::uint64_t exchange(std::uint64_t given, unsigned lane) {
    // Two sets of words in turn: nobody can be two calls ahead of another.
    const unsigned set = fibers_[threadIdx.x].exchanges++ % 2, warp = threadIdx.x / warpSize * warpSize;
    words_[set][threadIdx.x] = given;
    wait(State::at_warp_barrier);
    return words_[set][warp + lane];
  }

 private:
  void begin(unsigned threads, const std::function<void()>& thread) {
    if (stacks_ == nullptr) {
      stacks_ = static_cast<std::byte*>(mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
      if (stacks_ == MAP_FAILED) fail("no memory for stacks");
    }
    thread_ = &thread;
    left_ = threads;
    fibers_.resize(kMostThreads);
    for (unsigned i = 0; i < threads; ++i) {
      // Registers that nobody has set, and where the first switch returns to: `entry`, as if something had called it.
      void** top = reinterpret_cast<void**>(stacks_ + (i + 1) * kStack) - 2;
      top[0] = reinterpret_cast<void*>(entry);
      top[1] = nullptr;
      std::memset(top - 6, 0, 6 * sizeof(void*));
      fibers_[i].stack_pointer = top - 6;
      fibers_[i].state = State::ready;
      fibers_[i].exchanges = 0;
    }
  }

  static void entry();

  bool resume(unsigned i) {
    Fiber& fiber = fibers_[i];
    if (fiber.state != State::ready) return false;
    threadIdx = {i, 0, 0};
#ifdef __SANITIZE_THREAD__
    scheduler_tsan_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber.tsan, 0);
#endif
    cuda_emulator_switch(&scheduler_, fiber.stack_pointer);
    if (fiber.state == State::done) --left_;
    return true;
  }

  void leave(Fiber& fiber) {
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(scheduler_tsan_, 0);
#endif
    cuda_emulator_switch(&fiber.stack_pointer, scheduler_);
  }

  // Nobody can go on: whole warps, or the whole block, must be waiting at the same kind of barrier.
  void open_barriers() {
    const unsigned threads = blockDim.x;
    unsigned at_block = 0;
    bool opened = false;
    for (unsigned first = 0; first < threads; first += warpSize) {
      unsigned at_warp = 0;
      for (unsigned i = first; i < first + warpSize; ++i) {
        at_warp += fibers_[i].state == State::at_warp_barrier;
        at_block += fibers_[i].state == State::at_block_barrier;
      }
      if (at_warp == 0) continue;
      if (at_warp != warpSize) fail("a barrier of the warp that not all its threads reach");
      opened = true;
      for (unsigned i = first; i < first + warpSize; ++i) fibers_[i].state = State::ready;
    }
    if (opened) return;
    if (at_block != threads) fail("a barrier of the block that not all its threads reach");
    for (unsigned i = 0; i < threads; ++i) fibers_[i].state = State::ready;
  }

  std::byte* stacks_ = nullptr;
  std::vector<Fiber> fibers_;
  const std::function<void()>* thread_ = nullptr;
  unsigned left_ = 0;
  void* scheduler_ = nullptr;
  std::uint64_t words_[2][kMostThreads];
#ifdef __SANITIZE_THREAD__
  void* scheduler_tsan_ = nullptr;
#endif
};

Block block_at_work;
std::mutex at_work;

void Block::entry() {
  Block& block = block_at_work;
  (*block.thread_)();
  Fiber& fiber = block.fibers_[threadIdx.x];
  fiber.state = State::done;
  block.leave(fiber);
}

std::size_t number_of(const char* variable, std::size_t standard) {
  const char* text = std::getenv(variable);
  return text == nullptr ? standard : std::strtoull(text, nullptr, 10);
}

std::map<void*, std::size_t>& allocations() {
  static std::map<void*, std::size_t> sizes;
  return sizes;
}

}  // namespace

// Every other block runs its threads backwards, so that what works by luck of their order does not.
void run(dim3 grid, dim3 block, const std::function<void()>& thread) {
  const std::lock_guard lock(at_work);  // there is one device
  gridDim = grid;
  blockDim = block;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        block_at_work.run(block.x, thread, (x + y + z) % 2 == 1);
      }
}

std::uint64_t exchange(std::uint64_t given, unsigned lane) { return block_at_work.exchange(given, lane); }

Device& device() {
  static Device the_device = [] {
    Device d;
    d.count = static_cast<int>(number_of("CARAT_EMULATED_GPUS", 1));
    d.memory = number_of("CARAT_EMULATED_GPU_MEMORY", d.memory);
    d.driver = static_cast<int>(number_of("CARAT_EMULATED_DRIVER", CUDART_VERSION));
    return d;
  }();
  return the_device;
}

}  // namespace cuda_emulator

void __syncthreads() { cuda_emulator::block_at_work.wait(cuda_emulator::State::at_block_barrier); }
void __syncwarp() { cuda_emulator::block_at_work.wait(cuda_emulator::State::at_warp_barrier); }

using cuda_emulator::device;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
  }
  return "invalid argument";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaDriverGetVersion(int* version) {
  *version = device().driver;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (device().driver < CUDART_VERSION) return cudaErrorInsufficientDriver;
  if (device().count == 0) return cudaErrorNoDevice;
  *count = device().count;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index >= device().count) return cudaErrorInvalidValue;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated GPU");
  properties->major = 9;
  properties->multiProcessorCount = 2;
  properties->totalGlobalMem = device().memory;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) { return index < device().count ? cudaSuccess : cudaErrorInvalidValue; }

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = device().memory;
  *free = device().memory - device().used;
  return cudaSuccess;
}

// Full of what is no number in any format: nothing may rely on memory that it has not written.
cudaError_t cudaMalloc(void** at, std::size_t bytes) {
  if (bytes > device().memory - device().used) return cudaErrorMemoryAllocation;
  if (posix_memalign(at, 256, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*at, 0xFF, bytes);
  device().used += bytes;
  cuda_emulator::allocations()[*at] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* at) {
  const auto found = cuda_emulator::allocations().find(at);
  if (found == cuda_emulator::allocations().end()) return at == nullptr ? cudaSuccess : cudaErrorInvalidValue;
  device().used -= found->second;
  cuda_emulator::allocations().erase(found);
  std::free(at);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** at, std::size_t bytes) {
  return posix_memalign(at, 64, bytes) == 0 ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* at) {
  std::free(at);
  return cudaSuccess;
}

namespace {

cudaError_t now_or_later(cudaStream_t stream, std::function<void()> work) {
  if (stream->captured != nullptr)
    stream->captured->nodes.push_back(std::move(work));
  else
    work();
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  return now_or_later(stream, [=] { std::memcpy(to, from, bytes); });
}
cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t stream) {
  return now_or_later(stream, [=] { std::memset(at, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return stream->captured == nullptr ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->captured = new CUgraph_st;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->captured, nullptr);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
  *ready = new CUgraph_st(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
  ++device().replays;
  for (const auto& node : graph->nodes) node();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return cudaGraphDestroy(graph); }
