// The CPU backend's cache: what is stored there, and attention over it.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"

namespace carat::cpu {

namespace {

// One token's positions are cut into segments, so that all threads have work however few heads there are, and no more
// than that takes, as the first rows of each come unawaited from memory. A segment is whole blocks of keys, not too
// short to be worth a task, and there are never more of them than scratch has room for.
constexpr std::size_t kSegments = 32, kSegmentsOfAllHeads = 64;
constexpr std::size_t kLeastSegment = 2 * kKeyBlock;

std::size_t segment_length(std::size_t positions, std::size_t kv_heads) {
  const std::size_t segments = std::clamp<std::size_t>(kSegmentsOfAllHeads / kv_heads, 1, kSegments);
  return std::max(kLeastSegment, parts(parts(positions, segments), kKeyBlock) * kKeyBlock);
}

void store_row(const Table& table, const Tensor& cache, std::size_t slot, const float* from) {
  auto* to = static_cast<std::byte*>(cache.where) + slot * row_bytes(cache.dtype, cache.cols);
  encoder(table, cache.dtype)(from, to, cache.cols);
}

CachedRows cached_rows(const Tensor& cache, std::size_t first, std::size_t kv_head, std::size_t head_dim) {
  const std::size_t stride = row_bytes(cache.dtype, cache.cols), head = row_bytes(cache.dtype, head_dim);
  return {bytes(cache) + first * stride + kv_head * head, head, stride, cache.dtype};
}

CachedHead cached_head(const KvLayer& layer, SequenceId sequence, std::size_t kv_head, std::size_t head_dim) {
  const std::size_t first = static_cast<std::size_t>(sequence) * layer.slots;
  return {cached_rows(layer.k, first, kv_head, head_dim), cached_rows(layer.v, first, kv_head, head_dim), layer.slots,
          head_dim};
}

}  // namespace

void CpuBackend::store(const KvLayer& layer, const Tensor& k, const Tensor& v, const Rows& rows) {
  pool_.for_each(rows.size(), [&](std::size_t r, std::size_t) {
    const std::size_t slot = static_cast<std::size_t>(rows.sequence[r]) * layer.slots +
                             static_cast<std::size_t>(rows.position[r]) % layer.slots;
    store_row(table_, layer.k, slot, row(k, r));
    store_row(table_, layer.v, slot, row(v, r));
  });
}

void CpuBackend::attend(Tensor out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                        const AttentionShape& shape) {
  for (std::size_t first = 0; first < rows.few; first += kFewRows)
    attend_rows(out, q, layer, rows, first, std::min(kFewRows, rows.few - first), shape);
  for (std::size_t first = rows.few, end = first; first < rows.size(); first = end) {
    while (end < rows.size() && rows.sequence[end] == rows.sequence[first]) ++end;
    attend_blocks(out, q, layer, rows, first, end, shape);
  }
}

// A prompt: blocks of tokens, each with the query heads that share a cached head.
void CpuBackend::attend_blocks(const Tensor& out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                               std::size_t first, std::size_t end, const AttentionShape& shape) {
  const std::size_t group = shape.heads / shape.kv_heads;
  const std::size_t queries = std::min(group, kAttentionRows), parts_of_group = parts(group, queries);
  const std::size_t tokens = kAttentionRows / queries, blocks = parts(end - first, tokens);
  const std::size_t scratch = attention_scratch(shape.head_dim);
  scratch_.panels.grow(pool_.threads() * scratch);
  pool_.for_each(blocks * shape.kv_heads * parts_of_group, [&](std::size_t task, std::size_t thread) {
    const std::size_t block = task / (shape.kv_heads * parts_of_group), rest = task % (shape.kv_heads * parts_of_group);
    const std::size_t kv_head = rest / parts_of_group, part = rest % parts_of_group, row_at = first + block * tokens;
    const std::size_t head = kv_head * group + part * queries;
    BlockAttention a;
    a.cached = cached_head(layer, rows.sequence[first], kv_head, shape.head_dim);
    a.q = row(q, row_at) + head * shape.head_dim;
    a.q_stride = q.cols;
    a.tokens = std::min(tokens, end - row_at);
    a.queries = std::min(queries, group - part * queries);
    a.position = static_cast<std::size_t>(rows.position[row_at]);
    a.window = shape.window;
    a.scale = shape.scale;
    a.soft_cap = shape.soft_cap;
    a.out = row(out, row_at) + head * shape.head_dim;
    a.scratch = scratch_.panels.data() + thread * scratch;
    table_.attend_block(a);
  });
}

void CpuBackend::grow_for_attention(std::size_t heads, std::size_t head_dim) {
  const std::size_t parts_of_heads = kFewRows * kSegments * heads;
  scratch_.partial.grow(parts_of_heads * head_dim);
  if (scratch_.softmax.size() < parts_of_heads) scratch_.softmax.resize(parts_of_heads);
}

// Up to kFewRows tokens, each by itself: every segment of every cached head is a task.
void CpuBackend::attend_rows(const Tensor& out, const Tensor& q, const KvLayer& layer, const Rows& rows,
                             std::size_t first, std::size_t count, const AttentionShape& shape) {
  const std::size_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  grow_for_attention(shape.heads, dim);
  struct Span {
    std::size_t first, last, length, segments;
  } spans[kFewRows];
  std::size_t most = 0;  // segments of a row
  for (std::size_t r = 0; r < count; ++r) {
    const auto last = static_cast<std::size_t>(rows.position[first + r]), from = first_seen(last, shape.window);
    const std::size_t length = segment_length(last + 1 - from, shape.kv_heads);
    spans[r] = {from, last, length, parts(last + 1 - from, length)};
    most = std::max(most, spans[r].segments);
  }
  pool_.for_each(count * most * shape.kv_heads, [&](std::size_t task, std::size_t) {
    const std::size_t r = task / (most * shape.kv_heads), segment = task / shape.kv_heads % most;
    const std::size_t kv_head = task % shape.kv_heads, part = (r * kSegments + segment) * shape.heads + kv_head * group;
    const Span& span = spans[r];
    if (segment >= span.segments) return;
    Attention a;
    a.cached = cached_head(layer, rows.sequence[first + r], kv_head, dim);
    a.q = row(q, first + r) + kv_head * group * dim;
    a.queries = group;
    a.first = span.first + segment * span.length;
    a.last = std::min(span.last, a.first + span.length - 1);
    a.scale = shape.scale;
    a.soft_cap = shape.soft_cap;
    a.out = scratch_.partial.data() + part * dim;
    a.softmax = &scratch_.softmax[part];
    table_.attend(a);
  });
  pool_.for_each(count,
                 [&](std::size_t r, std::size_t) { merge_segments(row(out, first + r), r, spans[r].segments, shape); });
}

// The segments of each head of one row, brought to one maximum, summed and divided.
void CpuBackend::merge_segments(float* out, std::size_t row, std::size_t segments, const AttentionShape& shape) {
  for (std::size_t head = 0; head < shape.heads; ++head, out += shape.head_dim) {
    const auto part = [&](std::size_t s) { return (row * kSegments + s) * shape.heads + head; };
    float largest = scratch_.softmax[part(0)].largest, sum = 0;
    for (std::size_t s = 1; s < segments; ++s) largest = std::max(largest, scratch_.softmax[part(s)].largest);
    std::fill_n(out, shape.head_dim, 0.0f);
    for (std::size_t s = 0; s < segments; ++s) {
      const RunningSoftmax& softmax = scratch_.softmax[part(s)];
      const float weight = std::exp(softmax.largest - largest);
      const float* from = scratch_.partial.data() + part(s) * shape.head_dim;
      for (std::size_t d = 0; d < shape.head_dim; ++d) out[d] += weight * from[d];
      sum += weight * softmax.sum;
    }
    table_.scale(out, shape.head_dim, 1 / sum);
  }
}

}  // namespace carat::cpu
