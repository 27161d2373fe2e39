// Attention of single tokens: a block takes a segment of what one token sees, and the query heads that share a cached
// one.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/cached.cuh"

namespace carat::cuda {
namespace {

constexpr unsigned kThreads = 128, kWarps = kThreads / 32;
constexpr unsigned kQueries = 8;  // heads that a block takes, at most
constexpr unsigned kKeys = 32;    // at a time
constexpr unsigned kLeastSegment = 128;
constexpr float kNothing = -INFINITY;

// What a block does: positions [first, end) of a sequence, for `queries` heads from `head` on.
struct Work {
  std::size_t base;  // the sequence's first slot
  unsigned first, end, head, queries, kv_at;
};

__device__ Work find_work(const Attend& a) {
  const unsigned group = a.heads / a.kv_heads, in_group = (group + kQueries - 1) / kQueries;
  const unsigned kv_head = blockIdx.y / in_group, first_query = blockIdx.y % in_group * kQueries;
  const auto position = static_cast<unsigned>(a.position[blockIdx.x]);
  const unsigned begin = a.window > 0 && position + 1 > a.window ? position + 1 - a.window : 0;
  const unsigned seen = position + 1 - begin;
  const unsigned even = ((seen + a.segments - 1) / a.segments + kKeys - 1) / kKeys * kKeys;
  const unsigned length = even > kLeastSegment || a.segments == 1 ? even : kLeastSegment;
  Work work;
  work.base = static_cast<std::size_t>(a.sequence[blockIdx.x]) * a.slots;
  work.first = begin + blockIdx.z * length;
  work.end = work.first + length < position + 1 ? work.first + length : position + 1;
  work.head = kv_head * group + first_query;
  work.queries = group - first_query < kQueries ? group - first_query : kQueries;
  work.kv_at = kv_head * a.head_dim;
  return work;
}

struct Shared {
  float q[kQueries * kMaxHeadDim];  // in the end, what the threads add to one element of the result
  float score[kQueries][kKeys];
  float largest[kQueries], sum[kQueries], factor[kQueries];
};

__device__ __forceinline__ float reduce(float x, bool sums) {
  for (int distance = 16; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(0xFFFFFFFFu, x, distance);
    x = sums ? x + other : fmaxf(x, other);
  }
  return x;
}

// Scores of keys [first, first + count): a warp takes one key, its lanes four elements each.
__device__ void score_keys(const Attend& a, const Work& work, Shared& s, unsigned first, unsigned count) {
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (unsigned i = warp; i < count; i += kWarps) {
    float sums[kQueries] = {};
    const std::size_t slot = work.base + (first + i) % a.slots;
    for (unsigned d = 4 * lane; d < a.head_dim; d += 128) {
      const Four k = load_four(a.k, slot, work.kv_at + d, work.kv_at + a.head_dim);
#pragma unroll
      for (unsigned g = 0; g < kQueries; ++g) {
        if (g >= work.queries) break;
        const float* const q = s.q + g * kMaxHeadDim + d;
        for (unsigned j = 0; j < 4; ++j) sums[g] = __fmaf_rn(k.x[j], q[j], sums[g]);
      }
    }
#pragma unroll
    for (unsigned g = 0; g < kQueries; ++g) {
      if (g >= work.queries) break;
      float score = reduce(sums[g], true) * a.scale;
      if (a.soft_cap > 0) score = a.soft_cap * tanhf(score / a.soft_cap);
      if (lane == 0) s.score[g][i] = score;
    }
  }
}

// Scores become weights, of one maximum with those before.
__device__ void weigh(const Work& work, Shared& s, unsigned count) {
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (unsigned g = warp; g < work.queries; g += kWarps) {
    const float score = lane < count ? s.score[g][lane] : kNothing;
    const float before = s.largest[g], largest = fmaxf(before, reduce(score, false));
    const float weight = expf(score - largest), sum = reduce(weight, true);
    s.score[g][lane] = weight;
    if (lane == 0) {
      const float factor = expf(before - largest);
      s.factor[g] = factor;
      s.largest[g] = largest;
      s.sum[g] = s.sum[g] * factor + sum;
    }
  }
}

// Four elements of the result by as many threads as it takes; the others take other keys.
struct Lanes {
  unsigned across, together, key, at;
  bool busy;
};
__device__ Lanes lanes_of(unsigned head_dim) {
  Lanes lanes;
  lanes.across = (head_dim + 3) / 4;
  lanes.together = kThreads / lanes.across;
  lanes.key = threadIdx.x / lanes.across;
  lanes.at = threadIdx.x % lanes.across * 4;
  lanes.busy = lanes.key < lanes.together;
  return lanes;
}

__device__ void add_values(const Attend& a, const Work& work, const Shared& s, const Lanes& lanes, unsigned first,
                           unsigned count, float (&sums)[kQueries][4]) {
#pragma unroll
  for (unsigned g = 0; g < kQueries; ++g) {
    const float factor = g < work.queries ? s.factor[g] : 0.0f;
    for (float& sum : sums[g]) sum *= factor;
  }
  if (!lanes.busy) return;
  for (unsigned i = lanes.key; i < count; i += lanes.together) {
    const std::size_t slot = work.base + (first + i) % a.slots;
    const Four v = load_four(a.v, slot, work.kv_at + lanes.at, work.kv_at + a.head_dim);
#pragma unroll
    for (unsigned g = 0; g < kQueries; ++g) {
      if (g >= work.queries) break;
      for (unsigned j = 0; j < 4; ++j) sums[g][j] = __fmaf_rn(s.score[g][i], v.x[j], sums[g][j]);
    }
  }
}

// The sums of the threads that have the same elements, in order, to where the segment's result belongs.
__device__ void write_out(const Attend& a, const Work& work, Shared& s, const Lanes& lanes,
                          const float (&sums)[kQueries][4]) {
#pragma unroll
  for (unsigned g = 0; g < kQueries; ++g) {
    if (g >= work.queries) break;
    __syncthreads();
    for (unsigned j = 0; j < 4 && lanes.busy; ++j) s.q[lanes.key * lanes.across * 4 + lanes.at + j] = sums[g][j];
    __syncthreads();
    const std::size_t part = (std::size_t{blockIdx.x} * a.heads + work.head + g) * a.segments + blockIdx.z;
    for (unsigned d = threadIdx.x; d < a.head_dim; d += kThreads) {
      float sum = 0;
      for (unsigned i = 0; i < lanes.together; ++i) sum += s.q[i * lanes.across * 4 + d];
      a.partial[part * a.head_dim + d] = sum;
    }
    if (threadIdx.x == 0) a.softmax[part] = {s.largest[g], s.sum[g]};
  }
}

__global__ void __launch_bounds__(kThreads) attend_segment(Attend a) {
  __shared__ Shared s;
  const Work work = find_work(a);
  if (work.first >= work.end) {  // a short context has fewer segments
    if (threadIdx.x < work.queries)
      a.softmax[(std::size_t{blockIdx.x} * a.heads + work.head + threadIdx.x) * a.segments + blockIdx.z] = {kNothing,
                                                                                                            0};
    return;
  }
  for (unsigned i = threadIdx.x; i < work.queries * kMaxHeadDim; i += kThreads) {
    const unsigned d = i % kMaxHeadDim, head = work.head + i / kMaxHeadDim;
    s.q[i] = d < a.head_dim ? a.q[(std::size_t{blockIdx.x} * a.heads + head) * a.head_dim + d] : 0.0f;
  }
  if (threadIdx.x < kQueries) s.largest[threadIdx.x] = kNothing, s.sum[threadIdx.x] = 0;
  __syncthreads();
  const Lanes lanes = lanes_of(a.head_dim);
  float sums[kQueries][4] = {};
  for (unsigned first = work.first; first < work.end; first += kKeys) {
    const unsigned count = work.end - first < kKeys ? work.end - first : kKeys;
    score_keys(a, work, s, first, count);
    __syncthreads();
    weigh(work, s, count);
    __syncthreads();
    add_values(a, work, s, lanes, first, count, sums);
    __syncthreads();
  }
  write_out(a, work, s, lanes, sums);
}

__global__ void merge_segments(Merge a) {
  const std::size_t first = (std::size_t{blockIdx.x} * a.heads + blockIdx.y) * a.segments;
  float largest = kNothing, all = 0;
  for (unsigned i = 0; i < a.segments; ++i) largest = fmaxf(largest, a.softmax[first + i].largest);
  for (unsigned i = 0; i < a.segments; ++i)
    all = __fmaf_rn(expf(a.softmax[first + i].largest - largest), a.softmax[first + i].sum, all);
  for (unsigned d = threadIdx.x; d < a.head_dim; d += kThreads) {
    float sum = 0;
    for (unsigned i = 0; i < a.segments; ++i) {
      if (a.softmax[first + i].sum == 0) continue;  // nobody has written there
      sum = __fmaf_rn(expf(a.softmax[first + i].largest - largest), a.partial[(first + i) * a.head_dim + d], sum);
    }
    a.out[(std::size_t{blockIdx.x} * a.heads + blockIdx.y) * a.head_dim + d] = sum / all;
  }
}

}  // namespace

Launch attend(std::uint32_t tokens, const Attend& a) {
  const auto in_group = static_cast<unsigned>(parts(a.heads / a.kv_heads, kQueries));
  return launch(attend_segment, dim3(tokens, a.kv_heads * in_group, a.segments), kThreads, a);
}

Launch merge(std::uint32_t tokens, const Merge& a) {
  return launch(merge_segments, dim3(tokens, a.heads), kThreads, a);
}

}  // namespace carat::cuda
